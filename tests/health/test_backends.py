"""The kernels are judged by what they compute."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from appliance.config import Config, PlanningConfig
from appliance.health import Status, backends
from engines.photon.backend.driver import driver_devices


def test_the_kernels_of_this_build_trace_rays_rightly() -> None:
    kernels = pytest.importorskip(backends.KERNELS, reason="the compiled kernels are not built: ./build.sh setup")
    assert backends.depth_error_mm(kernels, 1) < backends.DEPTH_TOLERANCE_MM
    finding = backends.check(Config())
    assert finding.status in (Status.OK, Status.DEGRADED)
    assert finding.detail["openmp_threads"] == kernels.max_threads()


def test_missing_kernels_fail_and_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "KERNELS", "engines.photon._no_such_kernels")
    finding = backends.check(Config())
    assert (finding.status, "./build.sh setup" in finding.sentence) == (Status.FAILED, True)


@pytest.mark.parametrize("wrong_mm", [1.0, float("nan")])
def test_kernels_that_compute_wrongly_fail(monkeypatch: pytest.MonkeyPatch, wrong_mm: float) -> None:
    def depth_of_points(*arguments: object) -> None:
        points, out = arguments[4], arguments[5]
        out[:] = points[:, 1] + 51.0 + wrong_mm  # type: ignore[index]

    broken = SimpleNamespace(max_threads=lambda: 2, depth_of_points=depth_of_points)
    monkeypatch.setitem(sys.modules, "broken_kernels", broken)  # type: ignore[arg-type]
    monkeypatch.setattr(backends, "KERNELS", "broken_kernels")
    finding = backends.check(Config())
    assert (finding.status, "compute wrongly" in finding.sentence) == (Status.FAILED, True)


def test_one_thread_on_several_cores_is_degraded() -> None:
    pytest.importorskip(backends.KERNELS, reason="the compiled kernels are not built: ./build.sh setup")
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("this machine has one core")
    code = (
        "from appliance.config import Config\nfrom appliance.health import backends\n"
        "print(backends.check(Config()).status)"
    )
    limited = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert limited.stdout.strip() == "degraded"


def test_the_choice_and_its_parts_are_shown() -> None:
    shown = backends.chosen("auto")
    assert shown.works
    assert shown.detail["device"] in ("cpu", "cuda")
    assert str(shown.detail["summary"]) in shown.sentence and str(shown.detail["why"]) in shown.sentence
    assert shown.wasted == (shown.detail["device"] == "cpu" and shown.detail["cuda_devices"] != 0)
    assert "nvcc" in str(shown.detail["gpu_kernels"]) or "./build.sh setup" in str(shown.detail["gpu_kernels"])


def test_a_gpu_that_is_demanded_and_missing_fails_with_what_is_missing() -> None:
    devices, missing = driver_devices()
    if devices:
        pytest.skip("this machine has a CUDA device")
    finding = backends.check(Config(planning=PlanningConfig(device="cuda")))
    assert finding.status is Status.FAILED
    assert missing in finding.sentence


def test_the_cpu_is_used_where_it_is_asked_for() -> None:
    shown = backends.chosen("cpu")
    assert (shown.detail["device"], shown.wasted, "asked for" in shown.sentence) == ("cpu", False, True)
