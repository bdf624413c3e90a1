"""What the doctor says of each network: is it the registered file, what runs it, and did that ever run here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from appliance.health import Status
from appliance.health.networks import check
from engines.runtime import Backend, Precision, RuntimeOptions
from engines.runtime.entry import Registered
from engines.runtime.ran import Ran
from engines.runtime.registry import Registry
from tests.engines.segmentation.networks import thresholds

NETWORK = thresholds(0.0, 1.0)
DIGEST = hashlib.sha256(NETWORK).hexdigest()


def on_cpu(_: Registered) -> RuntimeOptions:
    return RuntimeOptions(backends=(Backend.ONNX_CPU,), threads=1)


ON_CPU = {"backend": "onnx_cpu", "precision": "fp32", "device": "cpu"}


def registry(folder: Path, **changes: object) -> Registry:
    (folder / "small.onnx").write_bytes(NETWORK)
    tensor = {"name": "image", "meaning": "a patch", "unit": "HU", "axes": ["n", "one", "d", "h", "w"]}
    entry = {
        "name": "small", "title": "Two thresholds", "file": "small.onnx", "sha256": DIGEST, "licence": "MIT",
        "source": "made by the tests", "trained_for": "nothing", "precision": {"fp32": 1e-5},
        "input": [tensor], "output": [{**tensor, "name": "scores"}],
    }  # fmt: skip
    return Registry(folder, (Registered.model_validate(entry | changes),))


def ran(difference: float, digest: str = DIGEST, device: str = "CPU, 8 threads") -> Ran:
    return Ran(digest, Backend.ONNX_CPU, Precision.FP32, device, difference, "2026-11-27")


def test_a_combination_that_ran_before_release_is_in_order(tmp_path):
    found = check([registry(tmp_path, executed=[ON_CPU])], on_cpu, ())
    assert found.status is Status.OK
    assert "small: as registered, onnx_cpu in fp32 on CPU, 1 thread, executed on this kind" in found.sentence
    assert found.detail["small"]["hash_ok"] is True


@pytest.mark.parametrize(
    "executed",
    [[], [ON_CPU | {"device": "H100"}], [ON_CPU | {"precision": "fp16"}], [ON_CPU | {"backend": "onnx_cuda"}]],
)
def test_a_combination_that_never_ran_on_this_kind_of_device_says_so(tmp_path, executed):
    found = check([registry(tmp_path, executed=executed)], on_cpu, ())
    assert found.status is Status.DEGRADED
    assert "built, never executed here: run 'couchside engines bench'" in found.sentence


def test_a_run_on_this_machine_is_evidence_for_the_same_file_and_device_only(tmp_path):
    assert check([registry(tmp_path)], on_cpu, [ran(1e-6)]).status is Status.OK
    assert check([registry(tmp_path)], on_cpu, [ran(1e-6, device="GPU of another make")]).status is Status.DEGRADED
    assert check([registry(tmp_path)], on_cpu, [ran(1e-6, "0" * 64)]).status is Status.DEGRADED


def test_a_run_that_came_out_too_far_off_is_told_whatever_was_tried_before(tmp_path):
    found = check([registry(tmp_path, executed=[ON_CPU])], on_cpu, [ran(1e-3)])
    assert found.status is Status.DEGRADED
    assert "differs by 0.001 from the CPU's result (1e-05 allowed)" in found.sentence


def test_an_altered_file_comes_first_and_fails(tmp_path):
    (tmp_path / "b").mkdir()
    good, bad = registry(tmp_path, executed=[ON_CPU]), registry(tmp_path / "b", name="other")
    (tmp_path / "b" / "small.onnx").write_bytes(NETWORK + b"\0")
    found = check([good, bad], on_cpu, ())
    assert found.status is Status.FAILED
    assert found.sentence.startswith("other: the file small.onnx of the model 'other' is not the registered one")
    assert found.detail["other"]["hash_ok"] is False


def test_a_registered_file_that_nothing_can_run_fails(tmp_path):
    made = registry(tmp_path, sha256=hashlib.sha256(b"no network").hexdigest())
    (tmp_path / "small.onnx").write_bytes(b"no network")
    assert check([made], on_cpu, ()).status is Status.FAILED


def test_what_the_product_does_without_may_be_missing(tmp_path):
    found = check([registry(tmp_path, optional=True, package="no_such_package")], on_cpu, ())
    assert (found.status, "not installed" in found.sentence) == (Status.OK, True)


def test_weights_alone_are_hashed_and_not_opened(tmp_path):
    made = registry(tmp_path, form="safetensors")
    assert check([made], on_cpu, ()).status is Status.OK
    (tmp_path / "small.onnx").write_bytes(b"other")
    assert check([made], on_cpu, ()).status is Status.FAILED


def test_a_precision_that_the_registry_does_not_allow_is_told(tmp_path):
    found = check([registry(tmp_path, precision={"fp16": 1e-3})], on_cpu, ())
    assert (found.status, "fp32 is no precision that the registry allows" in found.sentence) == (Status.DEGRADED, True)


def test_what_could_only_be_built_is_told_beside_what_runs(tmp_path):
    built = [{"backend": "tensorrt_rtx", "precision": "fp16", "device": "SM89"}]
    found = check([registry(tmp_path, executed=[ON_CPU], built_only=built)], on_cpu, ())
    assert found.status is Status.OK
    assert "never executed anywhere: tensorrt_rtx in fp16 for SM89" in found.sentence
