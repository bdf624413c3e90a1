"""The real pycuda runs the runtime's Gpu, Buffer and CudaGraph on an emulated driver, in a process of its own: one
owning thread, pinned memory, copies, handles, and nothing left behind."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.photon.cuda.emulated import compiled

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> dict[str, object]:
    if importlib.util.find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed: it is built from source with a CUDA toolkit")
    folder = tmp_path_factory.mktemp("driver")
    library, compiler = compiled(folder), shutil.which("gcc") or shutil.which("cc")
    if library is None or compiler is None:
        pytest.skip("there is no compiler for the emulated driver")
    graphs = folder / "libgraphs.so"
    source = str(Path(__file__).with_name("graph_driver.c"))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(graphs), source], check=True)
    found = os.environ.get("LD_LIBRARY_PATH", "")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.runtime.pycuda_session", str(library), str(graphs)],
        cwd=ROOT, env={**os.environ, "LD_LIBRARY_PATH": f"{folder}:{found}"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "PyCUDA" not in done.stderr, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_the_device_is_named_with_its_capability(session):
    assert (session["name"], session["target"], session["one"]) == ("emulated device (sm_90)", "SM90", True)


def test_arrays_go_there_and_come_back_from_any_thread(session):
    assert session["same"]
    assert session["whole"] == [0, 1, 2, 3]


def test_graphs_take_the_handle_of_pycudas_stream(session):
    handle, *told = session["graph"]
    assert told[0] == f"begin {handle} 1"
    assert told[-2] == f"launch 7f00000000b2 {handle}"


def test_too_little_memory_is_a_device_error(session):
    assert "emulated device (sm_90) is out of memory" in str(session["too_much"])


def test_nothing_is_left_behind(session):
    """Device blocks, page-locked blocks, streams, modules, retained contexts."""
    assert session["after_drop"] == [0, 0, 1, 0, 1]
    assert session["after_close"] == [0, 0, 0, 0, 0]
