"""All backends, one result: a small 3-D convolution network and the networks of the repository, each backend of this
machine against float64 sums or against ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.runtime import Backend, Precision, RuntimeOptions
from engines.runtime.contract import ALL_BACKENDS
from engines.runtime.opening import open_on
from engines.runtime.registry import load_registry
from tests.engines.runtime.networks import anatomy, by_hand, conv_network

ROOT = Path(__file__).resolve().parents[2]
DOSE = ROOT / "models/dose/dose.onnx"

FP32 = 1e-4
"""Of the largest value. Chosen: float32 sums of a deep network differ by their order, some 1e-6."""
TF32 = 2e-3
"""Of the largest value: 11 bits. ONNX Runtime gives no way to tell its TensorRT provider to do without TF32; all other
backends are told."""
ON_GPU = [backend for backend in ALL_BACKENDS if backend is not Backend.ONNX_CPU]


def opened(backend: Backend, model: bytes, precision: Precision = Precision.FP32, cache: Path | None = None):
    try:
        return open_on(backend, model, "golden", RuntimeOptions(precision=precision, threads=1, cache=cache))
    except EngineError as error:
        pytest.skip(f"{backend} is not here: {error}")


def full_precision(backend: Backend) -> float:
    return TF32 if backend is Backend.ONNX_TENSORRT else FP32


def allowed(precision: Precision) -> float:
    """Largest difference of the dose network from the CPU in FP32, in units of its outputs, as it is registered."""
    return load_registry().entry("dose").precision[precision]


def off(result, wanted) -> float:
    """Largest difference, of the largest value."""
    return float(np.abs(result - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_the_small_network_is_what_its_sums_say(backend):
    network = opened(backend, conv_network())
    assert off(network.run({"anatomy": anatomy()})["dose"], by_hand(anatomy())) < full_precision(backend)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_sizes_may_change_from_call_to_call_and_back(backend):
    """And each size comes three times: the first call binds, the second records a graph, the third launches it."""
    network = opened(backend, conv_network("any"))
    for size in (16, 16, 16, 24, 24, 24, 16, 9, 9, 9, 24):
        for seed in (1, 2):
            given = anatomy(size, seed)
            assert off(network.run({"anatomy": given})["dose"], by_hand(given)) < full_precision(backend)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_a_result_stays_what_it_was_when_the_network_runs_again(backend):
    network = opened(backend, conv_network())
    first = network.run({"anatomy": anatomy(seed=1)})["dose"]
    kept = first.copy()
    network.run({"anatomy": anatomy(seed=2)})
    np.testing.assert_array_equal(first, kept)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("backend", ON_GPU)
def test_the_dose_network_on_a_gpu_is_the_one_on_the_cpu(backend, precision, tmp_path):
    model = DOSE.read_bytes()
    network = opened(backend, model, precision, tmp_path)
    channels = network.inputs[0].shape[1]
    given = {network.inputs[0].name: np.random.default_rng(7).uniform(0, 1, (1, channels, 48, 64, 64))}
    reference = opened(Backend.ONNX_CPU, model).run(given)
    result = network.run(given)
    limit = max(allowed(network.precision), full_precision(backend))
    for name, wanted in reference.items():
        assert float(np.abs(result[name] - wanted).max()) <= limit
        np.testing.assert_array_equal(network.run(given)[name], result[name])


@pytest.mark.gpu
@pytest.mark.parametrize("backend", [Backend.TENSORRT, Backend.TENSORRT_RTX])
def test_an_engine_from_the_cache_computes_what_a_fresh_one_does(backend, tmp_path):
    fresh = opened(backend, conv_network(), cache=tmp_path)
    (path,) = tmp_path.glob("*.engine")
    again = opened(backend, conv_network(), cache=tmp_path)
    given = {"anatomy": anatomy()}
    np.testing.assert_array_equal(fresh.run(given)["dose"], again.run(given)["dose"])
    assert again.notes == ()
    path.write_bytes(path.read_bytes()[:-1])
    mended = opened(backend, conv_network(), cache=tmp_path)
    assert "is damaged" in mended.notes[0]
    assert off(mended.run(given)["dose"], by_hand(anatomy())) < FP32


def test_half_precision_of_the_dose_network_stays_within_its_limit():
    """The FP16 file itself, computed on the CPU: what rounding costs, before any GPU runs it."""
    from engines.runtime.half import in_half_precision

    pytest.importorskip("onnx")
    model = DOSE.read_bytes()
    full, half = (opened(Backend.ONNX_CPU, one) for one in (model, in_half_precision(model)))
    channels = full.inputs[0].shape[1]
    given = {full.inputs[0].name: np.random.default_rng(7).uniform(0, 1, (1, channels, 32, 32, 32))}
    wanted, result = full.run(given), half.run(given)
    for name in wanted:
        assert 0 < float(np.abs(result[name] - wanted[name]).max()) <= allowed(Precision.FP16)
