"""The real pycuda runs the real CudaDevice on an emulated driver (emulation/driver.cpp), in a process of its own:
launch arguments, streams, page-locked memory, pools, one owning thread, and nothing left behind."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engines.errors import DeviceError
from engines.photon.backend.fatbin import Fatbin
from engines.photon.backend.owner import Owner

ROOT = Path(__file__).resolve().parents[4]
HAS_PYCUDA = importlib.util.find_spec("pycuda") is not None


@pytest.fixture(scope="module")
def session(library: Path) -> dict[str, object]:
    if not HAS_PYCUDA:
        pytest.skip("pycuda is not installed: it is built from source with a CUDA toolkit")
    found = os.environ.get("LD_LIBRARY_PATH", "")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.photon.cuda.pycuda_session", str(library)],
        cwd=ROOT, env={**os.environ, "LD_LIBRARY_PATH": f"{library.parent}:{found}"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "PyCUDA" not in done.stderr, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_pycuda_launches_what_gives_the_golden_answer(session):
    assert session["dose"] < 1e-5 and session["gradient"] < 1e-5
    assert session["self_test"] < 2e-5
    assert session["cones"] < 1e-5


def test_any_thread_may_ask(session):
    assert session["threads_agree"]


def test_too_little_memory_is_said_in_numbers(session):
    assert "1048576 MiB were asked for" in str(session["too_much"])


def test_nothing_is_left_behind(session):
    """Device blocks, page-locked blocks, streams, modules, retained contexts."""
    assert session["after_drop"] == [0, 0, 1, 1, 1]
    assert session["after_close"] == [0, 0, 0, 0, 0]


@pytest.mark.skipif(HAS_PYCUDA, reason="pycuda is installed")
def test_missing_pycuda_is_named_with_what_needs_it():
    from engines.photon.backend.cuda import CudaDevice

    with pytest.raises(DeviceError, match="pycuda is not installed, which computing dose on the GPU needs"):
        CudaDevice(Fatbin(b"", (90,), (75,), ""))


def test_one_thread_does_all_the_work_and_its_failures_reach_the_caller():
    seen: list[threading.Thread] = []
    owner = Owner("test", lambda work: work(), lambda: seen.append(threading.current_thread()))
    try:
        assert owner.run(lambda: owner.run(threading.current_thread)) is not threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            owner.run(lambda: 1 // 0)
        owner.post(lambda: {}[1])
        with pytest.raises(KeyError):
            owner.run(lambda: None)
        assert owner.run(lambda: 5) == 5
    finally:
        owner.close()
    assert seen and seen[0] is not threading.current_thread()
