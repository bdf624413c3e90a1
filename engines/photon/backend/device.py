"""What the GPU code asks of a device: memory, copies, launches. `cuda.py` answers with pycuda; the tests' emulation
runs the same kernels on the host, so that everything above this line is tested without a GPU."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.photon.backend.parameters import Launch

Result = TypeVar("Result")


class Device(Protocol):
    """Memory is named by device address. All calls but `run` and `free` are made inside `run`."""

    @property
    def name(self) -> str: ...

    def run(self, work: Callable[[], Result]) -> Result:
        """Does `work` in the thread that owns the context and waits for it; raises what it raises."""

    def allocate(self, nbytes: int) -> int:
        """Raises DeviceError naming how much was asked for and how much is free."""

    def free(self, address: int) -> None:
        """May be called from any thread; returns at once."""

    def free_bytes(self) -> int: ...

    def allocate_host(self, nbytes: int) -> int:
        """Address of page-locked host memory, which copies read and write without staging."""

    def free_host(self, address: int) -> None:
        """May be called from any thread; returns at once."""

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """In the order of the stream; the array must live and keep still until `synchronise`."""

    def download(self, address: int, array: NDArray[Any]) -> None:
        """In the order of the stream; the array is filled after `synchronise`."""

    def clear(self, address: int, nbytes: int) -> None:
        """Zeros, in the order of the stream."""

    def launch(self, launches: Sequence[Launch]) -> None: ...

    def seconds_of(self, launches: Sequence[Launch]) -> float:
        """Launches and waits; the device's own clock, for benchmarks."""

    def synchronise(self) -> None:
        """Raises DeviceError if anything since the last call failed."""


class Buffer:
    """Device memory that is given back when the buffer is closed or no longer referred to."""

    def __init__(self, device: Device, nbytes: int) -> None:
        self.nbytes, self.address = nbytes, device.allocate(nbytes)
        # Not at interpreter exit: the process gives everything back then, and the owning thread is gone.
        self._free = weakref.finalize(self, device.free, self.address)
        self._free.atexit = False

    def at(self, offset_bytes: int) -> int:
        """Address of a byte of it; an offset past the end is a fault of ours, and is refused."""
        if not 0 <= offset_bytes <= self.nbytes:
            raise IndexError(f"offset {offset_bytes} is outside a buffer of {self.nbytes} bytes")
        return self.address + offset_bytes

    def close(self) -> None:
        self._free()


class HostBuffer:
    """Page-locked host memory as an array of float32. The array owns nothing: it must not outlive the buffer."""

    def __init__(self, device: Device, shape: tuple[int, ...]) -> None:
        count = math.prod(shape)
        address = device.allocate_host(4 * count)
        raw = (ctypes.c_float * count).from_address(address)
        self.array: NDArray[np.float32] = np.ctypeslib.as_array(raw).reshape(shape)
        self._free = weakref.finalize(self, device.free_host, address)
        self._free.atexit = False


def filled(device: Device, array: NDArray[Any]) -> Buffer:
    """A buffer with the bytes of an array, copied before this returns."""
    contiguous = np.ascontiguousarray(array)
    buffer = Buffer(device, max(contiguous.nbytes, 1))
    if contiguous.nbytes:
        device.upload(buffer.address, contiguous)
        device.synchronise()
    return buffer


def fetched(device: Device, buffer: Buffer, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The beginning of a buffer as a new array, copied before this returns."""
    out = np.empty(shape, np.float32)
    device.download(buffer.address, out)
    device.synchronise()
    return out
