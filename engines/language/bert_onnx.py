"""Writes a BERT-type encoder as one ONNX file, without torch: the same arithmetic as bert_numpy, node by node.

Inputs: input_ids and attention_mask, int64 (texts, tokens). Outputs: token_vectors float32 (texts, tokens, hidden) and
sentence_vectors float32 (texts, hidden) of unit length. Operators of opset 17 (LayerNormalization is one of them).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.language.bert_numpy import MASKED
from engines.language.weights import BertSizes, Tensors

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
"""The format version that came with opset 17 (ONNX 1.12), so that older runtimes read the file too."""


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._count = 0

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        self._count += 1
        name = output or f"{kind.lower()}_{self._count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"n{self._count}", **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def number(self, value: float) -> str:
        return self.constant(f"number_{value!r}", np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        return self.constant("whole_" + "_".join(map(str, values)), np.array(values, np.int64))


def bert_as_onnx(tensors: Tensors, sizes: BertSizes) -> bytes:
    """The file's bytes. Raises EngineError where the onnx package is missing or a tensor is."""
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise EngineError("the package 'onnx', which writes the sentence encoder, is not installed") from error
    graph = _Graph()
    try:
        _embed(graph, tensors, sizes)
        state = "embedded"
        for number in range(sizes.layers):
            state = _layer(graph, tensors, f"encoder.layer.{number}", state, sizes)
    except KeyError as error:
        raise EngineError(f"the encoder's weights lack {error}") from error
    graph.add("Identity", state, output="token_vectors")
    _pool(graph)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info("token_vectors", TensorProto.FLOAT, ["texts", "tokens", sizes.hidden]),
        helper.make_tensor_value_info("sentence_vectors", TensorProto.FLOAT, ["texts", sizes.hidden]),
    ]
    made = helper.make_graph(graph.nodes, "encoder", inputs, outputs, list(graph.constants.values()))
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="couchside"
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _embed(graph: _Graph, tensors: Tensors, sizes: BertSizes) -> None:
    words = graph.constant("words", tensors["embeddings.word_embeddings.weight"])
    first_type = tensors["embeddings.token_type_embeddings.weight"][0]
    places = graph.constant("places", tensors["embeddings.position_embeddings.weight"] + first_type)
    length = graph.add("Shape", "input_ids", start=1, end=2)
    here = graph.add("Slice", places, graph.whole(0), length, graph.whole(0))
    summed = graph.add("Add", graph.add("Gather", words, "input_ids"), here)
    _norm(graph, tensors, "embeddings.LayerNorm", summed, sizes, output="embedded")
    mask = graph.add("Cast", "attention_mask", to=1, output="mask")
    wide = graph.add("Unsqueeze", mask, graph.whole(1, 2))
    off = graph.add("Sub", graph.number(1.0), wide)
    graph.add("Mul", off, graph.number(MASKED), output="bias")


def _layer(graph: _Graph, tensors: Tensors, name: str, state: str, sizes: BertSizes) -> str:
    width = sizes.hidden // sizes.heads
    split, joined = graph.whole(0, 0, sizes.heads, width), graph.whole(0, 0, sizes.hidden)

    def heads(part: str, order: list[int]) -> str:
        made = _linear(graph, tensors, f"{name}.attention.self.{part}", state)
        return graph.add("Transpose", graph.add("Reshape", made, split), perm=order)

    product = graph.add("MatMul", heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]))
    scores = graph.add("Add", graph.add("Div", product, graph.number(math.sqrt(width))), "bias")
    share = graph.add("Softmax", scores, axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", share, heads("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3])
    attended = _linear(graph, tensors, f"{name}.attention.output.dense", graph.add("Reshape", mixed, joined))
    state = _norm(graph, tensors, f"{name}.attention.output.LayerNorm", graph.add("Add", attended, state), sizes)
    inner = _linear(graph, tensors, f"{name}.intermediate.dense", state)
    curve = graph.add("Erf", graph.add("Div", inner, graph.number(math.sqrt(2))))
    bent = graph.add("Mul", graph.add("Mul", inner, graph.number(0.5)), graph.add("Add", curve, graph.number(1.0)))
    outer = _linear(graph, tensors, f"{name}.output.dense", bent)
    return _norm(graph, tensors, f"{name}.output.LayerNorm", graph.add("Add", outer, state), sizes)


def _pool(graph: _Graph) -> None:
    weight = graph.add("Unsqueeze", "mask", graph.whole(2))
    total = graph.add("ReduceSum", graph.add("Mul", "token_vectors", weight), graph.whole(1), keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", weight, graph.whole(1), keepdims=0))
    length = graph.add("ReduceL2", mean, axes=[1], keepdims=1)
    graph.add("Div", mean, length, output="sentence_vectors")


def _linear(graph: _Graph, tensors: Tensors, name: str, state: str) -> str:
    weight = graph.constant(f"{name}.weight", tensors[f"{name}.weight"].T)
    return graph.add("Add", graph.add("MatMul", state, weight), graph.constant(f"{name}.bias", tensors[f"{name}.bias"]))


def _norm(graph: _Graph, tensors: Tensors, name: str, state: str, sizes: BertSizes, output: str = "") -> str:
    scale = graph.constant(f"{name}.weight", tensors[f"{name}.weight"])
    shift = graph.constant(f"{name}.bias", tensors[f"{name}.bias"])
    return graph.add("LayerNormalization", state, scale, shift, axis=-1, epsilon=sizes.epsilon, output=output)
