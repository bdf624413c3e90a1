"""What a network is to the rest of the program, whatever runs it: names, shapes, `run`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(StrEnum):
    """What can run a network, best first."""

    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt_rtx"
    ONNX_TENSORRT = "onnx_tensorrt"
    ONNX_CUDA = "onnx_cuda"
    OPENVINO_CPU = "openvino_cpu"
    ONNX_CPU = "onnx_cpu"


class Precision(StrEnum):
    """Of the arithmetic inside; what goes in and comes out keeps the types of the file."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


ALL_BACKENDS = tuple(Backend)
CPU_BACKENDS = (Backend.OPENVINO_CPU, Backend.ONNX_CPU)

Arrays = Mapping[str, NDArray[Any]]
Results = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output. shape: None where any size is taken. dtype: a NumPy name, such as 'float32'."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class RuntimeOptions:
    """How networks are opened.

    backends: tried in this order. precision: None is FP32, or what a quantised file says on a CPU; a reduced one is
    asked for by whoever has tested its accuracy, and a backend that does not have it computes in FP32 and says so.
    cache: folder of built engines, None keeps none. threads: of the CPU, 0 as many as there are."""

    backends: tuple[Backend, ...] = ALL_BACKENDS
    precision: Precision | None = None
    cache: Path | None = None
    threads: int = 0


DEFAULTS = RuntimeOptions()


def cpu_name(threads: int) -> str:
    """Of the device of a network that runs on the CPU with so many threads, 0 as many as there are."""
    count = threads or len(os.sched_getaffinity(0))
    return f"CPU, {count} thread{'s' if count > 1 else ''}"


class Network(Protocol):
    """An opened network. `device` is a name for people, `notes` what a person should know of how it runs here: each a
    sentence; a note may come while it runs."""

    @property
    def name(self) -> str: ...
    @property
    def backend(self) -> Backend: ...
    @property
    def precision(self) -> Precision: ...
    @property
    def device(self) -> str: ...
    @property
    def inputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def outputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def run(self, inputs: Arrays) -> Results:
        """All outputs by name, float32. Raises EngineError where inputs are not those of `inputs` or a result is not
        finite, DeviceError where the device fails."""
        ...

    def close(self) -> None:
        """Gives back memory and threads; closing twice does nothing."""
        ...
