"""The network as an ONNX file, for `engines/runtime` and for the rollout workers, which have no torch.

    python -m models.policy.export STATE models/policy/policy.onnx

STATE: what `learner.state` wrote. Inputs and outputs as in `network.py`; batch and number of levers are free."""

from __future__ import annotations

import argparse
import io
import warnings
from pathlib import Path

import torch

from models.dose.console import say

from .network import PolicyNetwork, weights_of

OPSET = 17
INPUTS, OUTPUTS = ("tokens", "present", "context", "legal"), ("logits", "stop", "value")
FREE = {
    "tokens": {0: "batch", 1: "levers"}, "present": {0: "batch", 1: "levers"}, "context": {0: "batch"},
    "legal": {0: "batch", 1: "levers"}, "logits": {0: "batch", 1: "levers"}, "stop": {0: "batch"},
    "value": {0: "batch"},
}  # fmt: skip


def onnx_bytes(network: PolicyNetwork) -> bytes:
    """Needs the package onnx."""
    shape, changes = network.shape, network.change.out_features
    example = (
        torch.zeros(2, 3, shape.tokens), torch.ones(2, 3), torch.zeros(2, shape.context), torch.ones(2, 3, changes)
    )  # fmt: skip
    written = io.BytesIO()
    was_training = network.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own future; the file is tested against the network
        torch.onnx.export(
            network.eval(), example, written, opset_version=OPSET, input_names=list(INPUTS),
            output_names=list(OUTPUTS), dynamic_axes=FREE, dynamo=False,
        )  # fmt: skip
    network.train(was_training)
    return written.getvalue()


def main() -> None:
    from .learner import network_of

    parser = argparse.ArgumentParser(description="Writes the network of a learner's state as ONNX.")
    parser.add_argument("state", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    network = network_of(asked.state.read_bytes())
    asked.out.write_bytes(onnx_bytes(network))
    say(f"{asked.out.name}: {weights_of(network)} weights, {asked.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
