"""CUDA graphs through the driver itself: pycuda has none. A network's copies and kernels are recorded once and then
launched together, which saves the time that launching hundreds of small kernels takes.

Functions and constants after the CUDA driver API reference, "Stream Management" and "Graph Management".
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from engines.errors import DeviceError

THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: another thread, such as dose calculation, may allocate memory meanwhile."""

_HANDLE = ctypes.c_void_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (_HANDLE, ctypes.c_int),
    "cuStreamEndCapture": (_HANDLE, ctypes.POINTER(_HANDLE)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(_HANDLE), _HANDLE, ctypes.c_ulonglong),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuGraphDestroy": (_HANDLE,),
    "cuGraphExecDestroy": (_HANDLE,),
}


class GraphDriver:
    """The driver's graph functions. Raises DeviceError where the driver or one of them (CUDA 11.4) is missing."""

    def __init__(self, library: str = "libcuda.so.1") -> None:
        try:
            loaded = ctypes.CDLL(library)
            self._functions = {name: getattr(loaded, name) for name in _SIGNATURES}
        except (OSError, AttributeError) as error:
            raise DeviceError(f"the CUDA driver has no graphs ({error})") from error
        for name, arguments in _SIGNATURES.items():
            self._functions[name].argtypes = arguments
            self._functions[name].restype = ctypes.c_int

    def call(self, name: str, *arguments: Any) -> None:
        """Raises DeviceError with the driver's CUresult."""
        code = self._functions[name](*arguments)
        if code != 0:
            raise DeviceError(f"{name} answered {code}")


class CudaGraph:
    """What `work` enqueues on the stream, recorded without being done. In the thread that owns the context, as all of
    it. Raises DeviceError; after it the stream is out of capture and can be used without a graph."""

    def __init__(self, driver: GraphDriver, stream_handle: int, work: Callable[[], None]) -> None:
        self._driver, self._stream = driver, stream_handle
        self._launchable = _HANDLE()
        graph = _HANDLE()
        driver.call("cuStreamBeginCapture_v2", stream_handle, THREAD_LOCAL)
        try:
            try:
                work()
            finally:
                driver.call("cuStreamEndCapture", stream_handle, ctypes.byref(graph))
            driver.call("cuGraphInstantiateWithFlags", ctypes.byref(self._launchable), graph, 0)
        finally:
            if graph:
                driver.call("cuGraphDestroy", graph)

    def launch(self) -> None:
        self._driver.call("cuGraphLaunch", self._launchable, self._stream)

    def close(self) -> None:
        """To be called: the driver frees it in the current context alone."""
        if self._launchable:
            self._driver.call("cuGraphExecDestroy", self._launchable)
            self._launchable = _HANDLE()
