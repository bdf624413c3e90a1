"""The table of `./build.sh engines`: every combination has a row, and what was not run says why."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.runtime.contract import Backend, Precision, RuntimeOptions
from engines.runtime.table import build_table, difference
from tests.engines.runtime.networks import anatomy, conv_network


def feeds(name, inputs):
    assert [(tensor.name, tensor.dtype) for tensor in inputs] == [("anatomy", "float32")]
    return {"anatomy": anatomy(inputs[0].shape[2] or 8)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    models = [("fixed", conv_network()), ("free", conv_network("any"))]
    return build_table(models, RuntimeOptions(threads=1, cache=tmp_path_factory.mktemp("engines")), feeds)


def test_each_model_backend_and_precision_has_one_row(rows):
    wanted = {
        (model, backend, precision)
        for model in ("fixed", "free")
        for backend in Backend
        for precision in (Precision.FP32, Precision.FP16)
        if (backend, precision) != (Backend.OPENVINO_CPU, Precision.FP16)
    }
    assert len(rows) == len(wanted)
    assert {(row.model, row.backend, row.precision) for row in rows} == wanted


def test_the_cpu_differs_from_itself_by_nothing(rows):
    full = [row for row in rows if (row.backend, row.precision) == (Backend.ONNX_CPU, Precision.FP32)]
    assert [row.difference for row in full] == [0.0, 0.0]
    assert all(row.ms is not None and row.ms > 0 for row in full)


def test_half_precision_on_the_cpu_tells_the_rounding_and_no_time(rows):
    half = [row for row in rows if (row.backend, row.precision) == (Backend.ONNX_CPU, Precision.FP16)]
    assert all(row.ms is None and row.difference is not None and 0 < row.difference < 0.005 for row in half)


def test_what_was_not_run_has_no_time_and_a_reason(rows):
    for row in rows:
        if row.difference is None:
            assert row.ms is None
            assert "not run: " in row.note


def test_where_tensorrt_rtx_is_without_a_gpu_the_row_says_that_it_builds(rows):
    from engines.photon.backend.driver import driver_devices

    pytest.importorskip("tensorrt_rtx_bindings")
    if driver_devices()[0]:
        pytest.skip("there is a GPU")
    notes = [row.note for row in rows if row.backend is Backend.TENSORRT_RTX]
    assert all(note.startswith("builds for SM89 in ") and "not run: there is no CUDA driver" in note for note in notes)


def test_one_precision_alone_where_it_is_asked_for():
    options = RuntimeOptions(backends=(Backend.ONNX_CPU,), precision=Precision.FP32, threads=1)
    (row,) = build_table([("fixed", conv_network())], options, feeds)
    assert (row.backend, row.precision) == (Backend.ONNX_CPU, Precision.FP32)


def test_a_model_that_the_cpu_cannot_run_is_an_error():
    with pytest.raises(EngineError, match="cannot run this model"):
        build_table([("none", b"no network")], RuntimeOptions(), feeds)


def test_difference_is_the_largest_of_all_outputs():
    zeros = {"a": np.zeros(3, np.float32), "b": np.zeros((2, 2), np.float32)}
    other = {"a": np.array([0, -3, 1], np.float32), "b": np.full((2, 2), 2, np.float32)}
    assert difference(other, zeros) == 3
