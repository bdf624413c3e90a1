"""A quantised ONNX file without its quantisation: weights as their eight bits say, activations as they come.

A file made for a CPU holds each convolution's weights in eight bits and rounds what goes into it to eight
(QuantizeLinear and DequantizeLinear, ONNX operators since version 10). TensorRT takes other zeros than a CPU is fast
with, and half precision costs a GPU nothing, so there the roundings of activations are taken out. The weights stay what
they are; the doses differ by those roundings, and the model's card says by how much.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.errors import EngineError

QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"


def is_quantised(model: bytes) -> bool:
    """Whether an ONNX file speaks of eight bits at all."""
    return QUANTISE.encode() in model or DEQUANTISE.encode() in model


def unquantised(model: bytes) -> bytes:
    """The file itself where it is not quantised. Raises EngineError where the package onnx is missing or a tensor is
    quantised in a way that is not known here (scales that are computed, blocks of an axis)."""
    if not is_quantised(model):
        return model
    try:
        import onnx
    except ImportError as error:
        raise EngineError(f"a quantised network needs the package onnx to run in floating point ({error})") from error
    made = onnx.load_model_from_string(model)
    graph = made.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    renamed: dict[str, str] = {}
    for node in graph.node:
        if node.op_type != DEQUANTISE:
            continue
        source = makers.get(node.input[0])
        if source is not None and source.op_type == QUANTISE:
            renamed[node.output[0]] = source.input[0]
        elif node.input[0] in constants:
            constants[node.output[0]] = _weights(node, constants)
        else:
            raise EngineError(f"the quantised tensor '{node.input[0]}' comes from nowhere that is known")
    kept = [node for node in graph.node if node.op_type not in (QUANTISE, DEQUANTISE)]
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = _end(name, renamed)
    used = {name for node in kept for name in node.input}
    told = {output.name: _end(output.name, renamed) for output in graph.output}
    kept += [onnx.helper.make_node("Identity", [now], [name]) for name, now in told.items() if name != now]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(tensor for name, tensor in constants.items() if name in used)
    return bytes(made.SerializeToString())


def _end(name: str, renamed: dict[str, str]) -> str:
    """Through as many pairs as follow one another."""
    while name in renamed:
        name = renamed[name]
    return name


def _weights(node: Any, constants: dict[str, Any]) -> Any:
    """(q - zero) * scale, along the axis of the scales where there are many (ONNX, DequantizeLinear)."""
    from onnx import numpy_helper

    names = list(node.input)
    if any(name not in constants for name in names if name):
        raise EngineError(f"the scale of '{names[0]}' is computed, which is not supported")
    found = [numpy_helper.to_array(constants[name]) for name in names if name]
    values, scale = found[0], found[1]
    zero = found[2] if len(found) == 3 else np.zeros((), values.dtype)
    axis = next((int(one.i) for one in node.attribute if one.name == "axis"), 1)
    if scale.ndim == 1 and scale.size > 1:
        sides = [1] * values.ndim
        sides[axis] = scale.size
        scale, zero = scale.reshape(sides), np.broadcast_to(zero, scale.shape).reshape(sides)
    elif scale.size != 1:
        raise EngineError(f"the weights '{names[0]}' have scales by blocks, which is not supported")
    plain = (values.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)
    return numpy_helper.from_array(np.asarray(plain, np.float32), node.output[0])
