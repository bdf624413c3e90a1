"""The kernels are judged by what they compute."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from appliance.config import Config
from appliance.health import Status, backends


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


def test_cuda_is_found_or_the_reason_is_said() -> None:
    devices, reason = backends.cuda_found()
    assert (devices > 0) == ("found, not used" in reason)
    assert devices > 0 or "CPU is used" in reason
