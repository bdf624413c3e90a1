"""The GPU that networks run on, through pycuda: context, stream, device and pinned memory, copies. The only file of the
runtime that imports pycuda.

TensorRT uses the device's primary context (that of the CUDA runtime), and so do we. All of it happens in one thread:
pycuda frees what it made in another thread's context not at all.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError
from engines.photon.backend.driver import driver_devices
from engines.photon.backend.owner import Context, Owner, within

Result = TypeVar("Result")


class CudaStream(Protocol):
    """pycuda.driver.Stream. handle: the address of its CUstream."""

    @property
    def handle(self) -> int: ...
    def synchronize(self) -> None: ...


class PrimaryContext(Context, Protocol):
    """pycuda.driver.Context as Device.retain_primary_context gives it."""

    def detach(self) -> None: ...


class Driver(Protocol):
    """What is used of pycuda.driver (2025.1 and 2026.1)."""

    Error: type[Exception]
    MemoryError: type[Exception]

    def init(self) -> None: ...
    def Device(self, number: int) -> Any: ...
    def Stream(self) -> CudaStream: ...
    def mem_alloc(self, nbytes: int) -> Any: ...
    def mem_get_info(self) -> tuple[int, int]: ...
    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]: ...
    def memcpy_htod_async(self, dest: Any, src: NDArray[Any], stream: CudaStream) -> None: ...
    def memcpy_dtoh_async(self, dest: NDArray[Any], src: Any, stream: CudaStream) -> None: ...


class Buffer:
    """One tensor's memory: `host` pinned, which a copy needs to be asynchronous, and the device's. Made and dropped
    inside Gpu.run. Raises pycuda's MemoryError, which Gpu.run turns into a DeviceError."""

    def __init__(self, driver: Driver, shape: tuple[int, ...], dtype: str) -> None:
        self._driver = driver
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        self._device = driver.mem_alloc(max(nbytes, 1))  # first: there is less of it
        self.host = driver.pagelocked_empty(shape, np.dtype(dtype))

    @property
    def address(self) -> int:
        return int(self._device)

    def upload(self, stream: CudaStream) -> None:
        self._driver.memcpy_htod_async(self._device, self.host, stream)

    def download(self, stream: CudaStream) -> None:
        self._driver.memcpy_dtoh_async(self.host, self._device, stream)


class Gpu:
    """The first device (CUDA_VISIBLE_DEVICES chooses which that is), its primary context, one stream. Raises
    DeviceError naming what is missing: the driver, a device or pycuda."""

    def __init__(self) -> None:
        count, reason = driver_devices()
        if count == 0:
            raise DeviceError(reason)
        self.driver = _pycuda()
        self._context: PrimaryContext | None = None
        self._owner = Owner("couchside-networks", self._current, self._shut)
        try:
            self._owner.run(self._open)
        except self.driver.Error as error:
            self._owner.close()
            raise DeviceError(f"the CUDA device cannot be used ({error})") from error

    def run(self, work: Callable[[], Result]) -> Result:
        """`work` in the owning thread with the context current. Raises DeviceError where the device is out of memory or
        fails."""
        try:
            return self._owner.run(work)
        except (self.driver.MemoryError, MemoryError) as error:  # the device's, or the host's for pinned memory
            raise DeviceError(f"{self.name} is out of memory ({error})") from error
        except self.driver.Error as error:
            raise DeviceError(f"{self.name} failed ({error})") from error

    def post(self, work: Callable[[], None]) -> None:
        """Has `work` done in the owning thread without waiting."""
        self._owner.post(work)

    def free_bytes(self) -> int:
        """Inside `run`."""
        return self.driver.mem_get_info()[0]

    # --- in the owning thread ----------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.driver.init()
        device = self.driver.Device(0)
        self.capability: tuple[int, int] = device.compute_capability()
        self.target = "SM{}{}".format(*self.capability)
        self.name = f"{device.name()} ({self.target.lower().replace('sm', 'sm_')})"
        self._context = cast(PrimaryContext, device.retain_primary_context())
        self._current(self._make_stream)

    def _make_stream(self) -> None:
        self.stream: Any = self.driver.Stream()

    def _current(self, work: Callable[[], Result]) -> Result:
        return within(self._context, work)

    def _shut(self) -> None:
        if self._context is None:
            return
        self._current(self._drop_stream)
        self._context.detach()
        self._context = None

    def _drop_stream(self) -> None:
        self.stream = None


_lock = threading.Lock()
_opened: list[Gpu] = []


def the_gpu() -> Gpu:
    """One for the process; it lives until the program ends. Raises DeviceError."""
    with _lock:
        if not _opened:
            _opened.append(Gpu())
        return _opened[0]


def _pycuda() -> Driver:
    try:
        import pycuda.driver
    except ImportError as error:
        missing = "pycuda is not installed" if error.name in ("pycuda", "pycuda.driver") else f"pycuda: {error}"
        raise DeviceError(f"{missing}, which TensorRT needs for its memory") from error
    return cast(Driver, pycuda.driver)
