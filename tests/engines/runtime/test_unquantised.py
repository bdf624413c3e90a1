"""A file in eight bits runs as it is on a CPU, and without its roundings where floating point is asked for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from engines.errors import EngineError
from engines.runtime import Backend, Precision, RuntimeOptions, open_network
from engines.runtime.table import build_table
from engines.runtime.unquantised import is_quantised, unquantised
from tests.engines.runtime.networks import CHANNELS, anatomy, conv_network, weights
from tests.engines.runtime.quantised import quantised_network, rounded_activations, rounded_weights, weight_scales


def opened(model: bytes, precision: Precision | None = None):
    options = RuntimeOptions((Backend.ONNX_CPU,), precision=precision, threads=1)
    return open_network(model, name="small", options=options)


def convolved(given: np.ndarray) -> np.ndarray:
    """The network's result with the rounded weights, in float64 and shifted sums."""
    kernel = rounded_weights() * weight_scales()[:, None, None, None, None].astype(np.float64)
    padded = np.pad(given[0].astype(np.float64), ((0, 0), (1, 1), (1, 1), (1, 1)))
    z, y, x = given.shape[2:]
    total = np.zeros((CHANNELS, z, y, x)) + weights()[1][:, None, None, None]
    for a, b, c in np.ndindex(3, 3, 3):
        total += np.einsum("oi,izyx->ozyx", kernel[:, :, a, b, c], padded[:, a : a + z, b : b + y, c : c + x])
    return np.maximum(total, 0).mean(axis=0)[None, None]


def test_the_cpu_runs_a_quantised_file_as_it_is():
    network, given = opened(quantised_network()), anatomy()
    assert network.precision is Precision.INT8 and network.notes == ()
    wanted = convolved(rounded_activations(given))
    np.testing.assert_allclose(network.run({"anatomy": given})["dose"], wanted, atol=1e-4)


def test_in_floating_point_only_the_weights_stay_rounded():
    network, given = opened(quantised_network(), Precision.FP32), anatomy()
    assert network.precision is Precision.FP32
    result = network.run({"anatomy": given})["dose"]
    np.testing.assert_allclose(result, convolved(given), atol=1e-5)
    assert np.abs(result - convolved(rounded_activations(given))).max() > 1e-3


def test_nothing_of_eight_bits_is_left():
    plain = unquantised(quantised_network())
    assert is_quantised(quantised_network()) and not is_quantised(plain)
    model = onnx.load_model_from_string(plain)
    onnx.checker.check_model(model, full_check=True)
    assert {tensor.name for tensor in model.graph.initializer} == {"kernel", "bias"}


def test_a_file_that_is_not_quantised_stays_the_same_bytes():
    model = conv_network()
    assert unquantised(model) == model


def test_an_output_that_was_rounded_last_keeps_its_name():
    model = onnx.load_model_from_string(conv_network(output="sum"))
    for name, value in (("s", np.float32(0.1)), ("z", np.uint8(0))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model.graph.node.append(helper.make_node("QuantizeLinear", ["sum", "s", "z"], ["steps"]))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["steps", "s", "z"], ["dose"]))
    model.graph.output[0].name = "dose"
    given = {"anatomy": anatomy()}
    plain = opened(unquantised(model.SerializeToString())).run(given)["dose"]
    np.testing.assert_array_equal(plain, opened(conv_network()).run(given)["dose"])


def test_scales_that_are_computed_are_refused():
    model = onnx.load_model_from_string(quantised_network())
    model.graph.node.insert(0, helper.make_node("Abs", ["kernel_scale"], ["computed"]))
    next(node for node in model.graph.node if node.output[0] == "kernel").input[1] = "computed"
    with pytest.raises(EngineError, match="computed"):
        unquantised(model.SerializeToString())


def test_the_table_tells_both_precisions_of_a_quantised_file():
    options = RuntimeOptions((Backend.ONNX_CPU,), threads=1)
    rows = build_table([("small", quantised_network())], options, lambda *_: {"anatomy": anatomy()})
    told = {row.precision: row for row in rows}
    assert told[Precision.INT8].difference == 0 and told[Precision.FP32].difference == 0
    assert told[Precision.INT8].ms is not None
    rounding = told[Precision.FP16].difference
    assert rounding is not None and 0 < rounding < 0.01


def test_tensorrt_reads_it_in_half_precision():
    from engines.runtime.engine_build import EngineBuilder

    try:
        builder = EngineBuilder(Backend.TENSORRT_RTX)
    except EngineError as error:
        pytest.skip(str(error))
    built = builder.build(quantised_network(), precision=Precision.FP16, target="SM89")
    assert [tensor.name for tensor in built.inputs] == ["anatomy"]
    assert [tensor.name for tensor in built.outputs] == ["dose"]
