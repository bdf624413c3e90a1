"""A small 3-D convolution network, made here so that its result can be computed by hand with NumPy too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS, KERNEL = 4, 3


def weights(seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """(out, in, 3, 3, 3) and (out,) of the one convolution."""
    draw = np.random.default_rng(seed)
    kernel = draw.normal(0, 0.2, (CHANNELS, 2, KERNEL, KERNEL, KERNEL)).astype(np.float32)
    return kernel, draw.normal(0, 0.2, CHANNELS).astype(np.float32)


def conv_network(size: Any = 12, *, seed: int = 5, output: str = "dose") -> bytes:
    """Two channels in, ReLU of a 3-D convolution, mean over channels out. size: an int, or the beginning of three
    free axes' names: TensorRT takes axes of one name to be of one size."""
    kernel, bias = weights(seed)
    nodes = [
        helper.make_node("Conv", ["anatomy", "kernel", "bias"], ["features"], pads=[1] * 6),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("ReduceMean", ["positive"], [output], axes=[1], keepdims=1),
    ]
    shape = [size] * 3 if isinstance(size, int) else [f"{size} {axis}" for axis in "zyx"]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("anatomy", TensorProto.FLOAT, [1, 2, *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 1, *shape])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def by_hand(anatomy: np.ndarray, seed: int = 5) -> np.ndarray:
    """What conv_network computes of (1, 2, z, y, x), in float64 and shifted sums."""
    kernel, bias = weights(seed)
    padded = np.pad(anatomy[0].astype(np.float64), ((0, 0), (1, 1), (1, 1), (1, 1)))
    z, y, x = anatomy.shape[2:]
    total = np.zeros((CHANNELS, z, y, x)) + bias[:, None, None, None]
    for a, b, c in np.ndindex(KERNEL, KERNEL, KERNEL):
        total += np.einsum("oi,izyx->ozyx", kernel[:, :, a, b, c], padded[:, a : a + z, b : b + y, c : c + x])
    return np.maximum(total, 0).mean(axis=0)[None, None]


def anatomy(size: int = 12, seed: int = 3) -> np.ndarray:
    """(1, 2, size, size, size) float32."""
    return np.random.default_rng(seed).normal(0, 1, (1, 2, size, size, size)).astype(np.float32)
