"""The network as an ONNX file: what runs beside the planning system has no torch."""

from __future__ import annotations

import io
import warnings

import torch

from .features import CHANNELS
from .network import ArcNetwork

OPSET = 17
FREE = {
    "maps": {0: "batch", 2: "points", 3: "pairs"}, "leaves": {0: "batch", 2: "points", 3: "pairs"},
    "log_mu": {0: "batch", 1: "intervals"},
}  # fmt: skip


def onnx_bytes(network: ArcNetwork) -> bytes:
    """Needs the package onnx."""
    written = io.BytesIO()
    was_training = network.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own future; the file is tested against the network
        torch.onnx.export(
            network.eval(), (torch.zeros(1, len(CHANNELS), 9, 5),), written, opset_version=OPSET, input_names=["maps"],
            output_names=["leaves", "log_mu"], dynamic_axes=FREE, dynamo=False,
        )  # fmt: skip
    network.train(was_training)
    return written.getvalue()
