"""CUDA graphs through ctypes, on a library in place of the driver (graph_driver.c) that writes down what it is called
with: order, whole 64-bit handles, and nothing left behind when something fails."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engines.errors import DeviceError
from engines.runtime.cuda_graph import CudaGraph, GraphDriver

STREAM = 0x7F0000000C0D
SOURCE = Path(__file__).with_name("graph_driver.c")


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here")
    made = tmp_path_factory.mktemp("driver") / "libgraphs.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(made), str(SOURCE)], check=True)
    return made


class Told:
    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.told.restype = ctypes.c_char_p

    def lines(self) -> list[str]:
        return self._library.told().decode().splitlines()

    def reset(self, fail: int = 0) -> None:
        self._library.reset(fail)


@pytest.fixture
def told(library) -> Told:
    made = Told(library)
    made.reset()
    return made


def test_work_is_recorded_launched_and_given_back(library, told):
    seen: list[list[str]] = []
    graph = CudaGraph(GraphDriver(str(library)), STREAM, lambda: seen.append(told.lines()))
    assert seen == [["begin 7f0000000c0d 1"]]
    graph.launch()
    graph.launch()
    graph.close()
    graph.close()
    assert told.lines() == [
        "begin 7f0000000c0d 1",
        "end 7f0000000c0d 0",
        "instantiate 7f00000000a1 0",
        "destroy 7f00000000a1 0",
        "launch 7f00000000b2 7f0000000c0d",
        "launch 7f00000000b2 7f0000000c0d",
        "destroy made 7f00000000b2 0",
    ]


def test_work_that_fails_ends_the_recording_and_is_what_is_raised(library, told):
    def work() -> None:
        raise DeviceError("no memory")

    with pytest.raises(DeviceError, match="no memory"):
        CudaGraph(GraphDriver(str(library)), STREAM, work)
    assert told.lines() == ["begin 7f0000000c0d 1", "end 7f0000000c0d 0", "destroy 7f00000000a1 0"]


def test_a_graph_that_cannot_be_made_is_destroyed_and_its_code_said(library, told):
    told.reset(fail=801)
    with pytest.raises(DeviceError, match="cuGraphInstantiateWithFlags answered 801"):
        CudaGraph(GraphDriver(str(library)), STREAM, lambda: None)
    assert told.lines()[-1] == "destroy 7f00000000a1 0"


def test_a_missing_driver_or_function_is_named():
    with pytest.raises(DeviceError, match="has no graphs"):
        GraphDriver("libno-such-driver.so.1")
    with pytest.raises(DeviceError, match="cuStreamBeginCapture_v2"):
        GraphDriver("libc.so.6")
