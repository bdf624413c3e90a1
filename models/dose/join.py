"""Joins two dose networks into one file: the mean of their doses, and a spread that knows where they disagree.

    python -m models.dose.join FIRST.onnx SECOND.onnx OUT.onnx [--share 0.75]

FIRST tells `dose`; SECOND `dose` and `spread`; both read the same `features`, of which each takes as many channels as
it knows, from the first on. The product then runs one network, from one registered file:

    dose = share * first + (1 - share) * second
    spread = second's spread + DISAGREEMENT * |first - second|

The second term is what an ensemble of two adds to the spread that one network tells of itself (Lakshminarayanan et al.,
NeurIPS 2017); what both are worth in Gy is found by calibration, so only their ratio matters.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from .console import say
from .features import CHANNELS

SHARE, DISAGREEMENT = 0.5, 0.5
"""Chosen, not fitted: neither is trusted more; of two doses d apart, each is d/2 from their mean."""


def joined(first: Any, second: Any, share: float) -> Any:
    """One ONNX model of two. Raises ValueError for a network that lacks an output or asks for too many channels."""
    from onnx import helper, numpy_helper
    from onnx.compose import add_prefix

    parts = [_part(model, name) for model, name in ((first, "first_"), (second, "second_"))]
    if "spread" not in {output.name for output in second.graph.output}:
        raise ValueError("the second network tells no spread")
    nodes, weights = [], []
    for (model, channels), name in zip(parts, ("first_", "second_"), strict=True):
        known = add_prefix(model, name)
        ends = numpy_helper.from_array(np.array([channels], np.int64), f"{name}channels")
        weights += [ends, *known.graph.initializer]
        nodes += [
            helper.make_node("Slice", ["features", "zero", f"{name}channels", "channel_axis"], [f"{name}features"]),
            *known.graph.node,
        ]
    for name, value in (("zero", 0), ("channel_axis", 1)):
        weights.append(numpy_helper.from_array(np.array([value], np.int64), name))
    for name, number in (("share", share), ("rest", 1 - share), ("disagreement", DISAGREEMENT)):
        weights.append(numpy_helper.from_array(np.array(number, np.float32), name))
    nodes += [
        helper.make_node("Mul", ["first_dose", "share"], ["first_part"]),
        helper.make_node("Mul", ["second_dose", "rest"], ["second_part"]),
        helper.make_node("Add", ["first_part", "second_part"], ["dose"]),
        helper.make_node("Sub", ["first_dose", "second_dose"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["how_far_apart"]),
        helper.make_node("Mul", ["how_far_apart", "disagreement"], ["unsure"]),
        helper.make_node("Add", ["second_spread", "unsure"], ["spread"]),
    ]
    return _model(nodes, weights, second)


def _part(model: Any, name: str) -> tuple[Any, int]:
    """The model and how many channels it reads."""
    told = model.graph.input[0]
    channels = int(told.type.tensor_type.shape.dim[1].dim_value)
    if told.name != "features" or not 0 < channels <= len(CHANNELS):
        raise ValueError(f"the network {name.rstrip('_')} reads {told.name} with {channels} channels")
    if "dose" not in {output.name for output in model.graph.output}:
        raise ValueError(f"the network {name.rstrip('_')} tells no dose")
    return model, channels


def _model(nodes: list[Any], weights: list[Any], like: Any) -> Any:
    from onnx import TensorProto, checker, helper

    def tensor(name: str, channels: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "inferior", "posterior", "left"])

    graph = helper.make_graph(
        nodes, "dose", [tensor("features", len(CHANNELS))], [tensor("dose", 1), tensor("spread", 1)], weights
    )
    made = helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)
    checker.check_model(made, full_check=True)
    return made


def main() -> None:
    import onnx

    parser = argparse.ArgumentParser(description="Joins two dose networks into one file.")
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=SHARE, help="of the first network's dose in the mean")
    asked = parser.parse_args()
    onnx.save(joined(onnx.load(asked.first), onnx.load(asked.second), asked.share), asked.out)
    say(f"{asked.out.name}: {asked.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
