"""Writes a network as ONNX with weights in float16.

    python -m models.dose.export OUT/weights.pt models/dose/dose.onnx

Weights are stored in half precision and the arithmetic is the reader's choice: TensorRT computes in half, the CPU in
float32 after one conversion when the file is opened. The file's input is `features` (1, CHANNELS, inferior, posterior,
left), its output `dose` in DOSE_UNIT_GY; sides are free multiples of 16.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .console import say
from .features import CHANNELS
from .network import DoseNetwork, Shape
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


def write_onnx(network: nn.Module, path: Path) -> None:
    """In place of `path`. Needs the package onnx; PyTorch's own exporter writes float32, which is then halved."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = half_rounded(network).float().cpu().eval().to(memory_format=torch.contiguous_format)
    example = torch.zeros(1, len(CHANNELS), 32, 32, 32)
    free = dict(zip((2, 3, 4), ("inferior", "posterior", "left"), strict=True))
    torch.onnx.export(
        network, (example,), str(path), opset_version=OPSET, input_names=["features"], output_names=["dose"],
        dynamic_axes={"features": free, "dose": free}, dynamo=False,
    )  # fmt: skip
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
    shape = state["shape"]
    channels, down, up = (tuple(shape[part]) for part in ("channels", "down", "up"))
    network = DoseNetwork(Shape(channels, down, up, shape["head"]))
    network.load_state_dict({name: weight.float() for name, weight in state["weights"].items()})
    return network.eval()


def onnx_predictor(path: Path, threads: int = 1) -> Predictor:
    """A Predictor that runs the file with ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(features: Tensor) -> Tensor:
        (dose,) = session.run(["dose"], {"features": features.float().numpy()})
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
