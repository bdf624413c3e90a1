"""Tiny networks built here, whose answer is known for every voxel."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Shape = list[int | str]
FREE: Shape = ["n", 1, "d", "h", "w"]


def convolution(
    weights: NDArray[np.float32],
    bias: list[float],
    *,
    shape: Shape | None = None,
    spare_output: bool = False,
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """One convolution with weights (K, 1, d, h, w), the image padded with zeros to its own size. spare_output: a second
    output, as of deep supervision."""
    channels, _, *kernel = weights.shape
    pads = [size // 2 for size in kernel] * 2
    shape = shape or FREE
    nodes = [helper.make_node("Conv", ["image", "w", "b"], ["scores"], kernel_shape=kernel, pads=pads)]
    outputs = [helper.make_tensor_value_info("scores", kind, [shape[0], channels, *shape[2:]])]
    if spare_output:
        nodes.append(helper.make_node("Identity", ["scores"], ["spare"]))
        outputs.append(helper.make_tensor_value_info("spare", kind, [shape[0], channels, *shape[2:]]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", kind, shape)],
        outputs,
        [
            numpy_helper.from_array(np.asarray(weights, np.float32), "w"),
            numpy_helper.from_array(np.asarray(bias, np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model.SerializeToString()


def thresholds(*at: float, steep: float = 10.0, shape: Shape | None = None) -> bytes:
    """Class 0 scores 0, class k scores steep k (value - at[k]): for rising thresholds a voxel is of the last class
    whose threshold it passes, and exactly on it of the one before. Voxel by voxel."""
    weights = np.array([0.0, *(steep * k for k in range(1, len(at) + 1))], np.float32).reshape(-1, 1, 1, 1, 1)
    return convolution(weights, [0.0, *(-steep * k * t for k, t in enumerate(at, 1))], shape=shape)


def shift_along(axis: int) -> bytes:
    """Two classes; class 1 scores what stands one voxel before along D, H or W (0, 1, 2), less a half."""
    weights = np.zeros((2, 1, 3, 3, 3), np.float32)
    place = [1, 1, 1]
    place[axis] = 0
    weights[(1, 0, *place)] = 1.0
    return convolution(weights, [0.0, -0.5])


def without_depth() -> bytes:
    """A network for flat images, N C H W."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["scores"])],
        "flat",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 1, "h", "w"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    return model.SerializeToString()
