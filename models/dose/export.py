"""Writes a network as ONNX with weights in float16.

    python -m models.dose.export OUT/weights.pt models/dose/dose.onnx

Weights are stored in half precision and the arithmetic is the reader's choice: TensorRT computes in half, the CPU in
float32 after one conversion when the file is opened. The file's input is `features` (1, CHANNELS, inferior, posterior,
left); its outputs are `dose` and, of a network that tells it, `spread` (the Laplace scale of the dose's error), both
(1, 1, ...) in DOSE_UNIT_GY. Sides are free multiples of 16.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .console import say
from .features import CHANNELS
from .network import DoseNetwork, Factored, Shape
from .predict import Predictor

OPSET = 17
SMALLEST_HALF = 1024
"""Weights with fewer numbers stay float32: they cost nothing."""


def half_rounded(network: nn.Module) -> nn.Module:
    """The network with weights rounded to float16 and back, in place: what the file will compute."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.numel() >= SMALLEST_HALF:
                weight.copy_(weight.half().float())
    return network


class _Outputs(nn.Module):
    """What the file says: dose, and the spread of a network that tells one."""

    def __init__(self, network: DoseNetwork) -> None:
        super().__init__()
        self.network = network
        self.names = ("dose", "spread") if network.shape.spread else ("dose",)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        return self.network.with_spread(features) if self.network.shape.spread else (self.network(features),)


def without_padding(network: DoseNetwork) -> DoseNetwork:
    """A copy that takes CHANNELS as they are: a processor gains nothing from channels of zeros."""
    made = copy.deepcopy(network)
    made.inputs = len(CHANNELS)
    first = made.detail.into if isinstance(made.detail, Factored) else made.detail
    for layer in (made.stem, first):
        layer.weight = nn.Parameter(layer.weight[:, : made.inputs].detach().contiguous())
    return made


def write_onnx(network: DoseNetwork, path: Path) -> None:
    """In place of `path`; the network is left alone. Needs the package onnx; PyTorch's own exporter writes float32,
    which is then halved."""
    outputs = _Outputs(without_padding(network).float().cpu().eval().to(memory_format=torch.contiguous_format))
    half_rounded(outputs)
    example = torch.zeros(1, len(CHANNELS), 32, 32, 32)
    free = dict(zip((2, 3, 4), ("inferior", "posterior", "left"), strict=True))
    torch.onnx.export(
        outputs, (example,), str(path), opset_version=OPSET, input_names=["features"],
        output_names=list(outputs.names), dynamic_axes=dict.fromkeys(("features", *outputs.names), free),
        dynamo=False,
    )  # fmt: skip
    halve_weights(path)


def halve_weights(path: Path) -> None:
    """Stores the file's large weights in float16, each with its conversion."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALLEST_HALF:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def network_of(path: Path) -> DoseNetwork:
    """The network of a weights.pt of train.py, whatever its shape."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = DoseNetwork(shape_of(path))
    network.load_state_dict({name: weight.float() for name, weight in state["weights"].items()})
    return network.eval()


def shape_of(path: Path) -> Shape:
    """Of the network of a weights.pt."""
    told = torch.load(path, map_location="cpu", weights_only=True)["shape"]
    parts: dict[str, Any] = {name: tuple(v) if isinstance(v, list | tuple) else v for name, v in told.items()}
    return Shape(**parts)


def onnx_predictor(path: Path, threads: int = 1) -> Predictor:
    """A Predictor that runs the file with ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    channels = session.get_inputs()[0].shape[1]  # an older file knows fewer

    def run(features: Tensor) -> Tensor:
        (dose,) = session.run(["dose"], {"features": features[:, :channels].float().contiguous().numpy()})
        return torch.from_numpy(dose)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes trained weights as ONNX.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    write_onnx(network_of(asked.weights), asked.out)
    say(f"{asked.out.name}: {asked.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
