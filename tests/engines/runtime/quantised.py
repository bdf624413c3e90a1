"""The small network with its convolution in eight bits, written by hand: what comes out can be computed by hand too."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.engines.runtime.networks import conv_network, weights

ACTIVATION_SCALE, ACTIVATION_ZERO = np.float32(0.05), np.uint8(120)


def weight_scales() -> np.ndarray:
    kernel, _ = weights()
    return (np.abs(kernel).max(axis=(1, 2, 3, 4)) / 127).astype(np.float32)


def rounded_weights() -> np.ndarray:
    kernel, _ = weights()
    return np.rint(kernel / weight_scales()[:, None, None, None, None]).astype(np.int8)


def rounded_activations(values: np.ndarray) -> np.ndarray:
    """What QuantizeLinear and DequantizeLinear make of them (ONNX: half to even, cut to 0 ... 255)."""
    steps = np.clip(np.rint(values / ACTIVATION_SCALE) + ACTIVATION_ZERO, 0, 255)
    return ((steps - ACTIVATION_ZERO) * ACTIVATION_SCALE).astype(np.float32)


def quantised_network(size: int = 12) -> bytes:
    model = onnx.load_model_from_string(conv_network(size))
    graph = model.graph
    for tensor in list(graph.initializer):
        if tensor.name == "kernel":
            graph.initializer.remove(tensor)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in (
            ("bytes", rounded_weights()),
            ("kernel_scale", weight_scales()),
            ("kernel_zero", np.zeros(len(weight_scales()), np.int8)),
            ("scale", ACTIVATION_SCALE),
            ("zero", ACTIVATION_ZERO),
        )
    )
    graph.node[0].input[0] = "rounded"
    for place, node in enumerate(
        (
            helper.make_node("QuantizeLinear", ["anatomy", "scale", "zero"], ["steps"]),
            helper.make_node("DequantizeLinear", ["steps", "scale", "zero"], ["rounded"]),
            helper.make_node("DequantizeLinear", ["bytes", "kernel_scale", "kernel_zero"], ["kernel"], axis=0),
        )
    ):
        graph.node.insert(place, node)
    onnx.checker.check_model(model)
    assert all(tensor.data_type != TensorProto.FLOAT or tensor.name != "kernel" for tensor in graph.initializer)
    return bytes(model.SerializeToString())
