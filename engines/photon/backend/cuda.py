"""The Device that is a real GPU, through pycuda. The only file that imports pycuda."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError
from engines.photon.backend.fatbin import Fatbin
from engines.photon.backend.owner import Owner, within
from engines.photon.backend.parameters import OF_KERNEL, THREADS, Launch

Result = TypeVar("Result")

FEATURE = "computing dose on the GPU"


class CudaDevice:
    """The first CUDA device (CUDA_VISIBLE_DEVICES chooses which that is), its primary context, one stream and the
    kernels of a fat binary.

    Everything happens in one thread that owns the context; the context is current only while work is done, so that
    pycuda finds its stack empty whenever the program ends. Memory comes from pycuda's pools: a plan's operators are
    made and dropped often, and cudaMalloc waits for the device.

    Raises DeviceError naming what is missing: pycuda, a driver, a device, or code for this device in the fat binary."""

    def __init__(self, fatbin: Fatbin) -> None:
        self._cuda, self._tools = _pycuda()
        self._context: Any = None
        self._owner = Owner("couchside-cuda", self._current, self._shut)
        self._blocks: dict[int, Any] = {}
        self._pinned: dict[int, Any] = {}
        try:
            self._owner.run(lambda: self._open(fatbin))
        except self._cuda.Error as error:
            self._owner.close()
            raise DeviceError(f"the CUDA device cannot be used ({error})") from error
        except DeviceError:
            self._owner.close()
            raise

    @property
    def name(self) -> str:
        return self._name

    def run(self, work: Callable[[], Result]) -> Result:
        try:
            return self._owner.run(work)
        except self._cuda.MemoryError as error:
            raise DeviceError(f"{self._name} is out of memory ({error})") from error
        except self._cuda.Error as error:
            raise DeviceError(f"{self._name} failed ({error}); start Couchside again, or use the CPU") from error

    def allocate(self, nbytes: int) -> int:
        try:
            block = self._pool.allocate(nbytes)
        except self._cuda.MemoryError as error:
            free = self.free_bytes()
            raise DeviceError(
                f"{self._name} is out of memory: {nbytes / 2**20:.0f} MiB were asked for, {free / 2**20:.0f} are free"
            ) from error
        address = int(block)
        self._blocks[address] = block
        return address

    def free(self, address: int) -> None:
        # One stream does everything in order: memory that work under way uses is not written anew before it ends.
        self._owner.post(lambda: self._blocks.pop(address).free())

    def free_bytes(self) -> int:
        free, _ = self._cuda.mem_get_info()
        return int(free) + int(self._pool.managed_bytes) - int(self._pool.active_bytes)

    def allocate_host(self, nbytes: int) -> int:
        block = self._cuda.pagelocked_empty(nbytes, np.uint8)
        address = int(block.ctypes.data)
        self._pinned[address] = block
        return address

    def free_host(self, address: int) -> None:
        def work() -> None:
            self._stream.synchronize()
            del self._pinned[address]

        self._owner.post(work)

    def upload(self, address: int, array: NDArray[Any]) -> None:
        self._cuda.memcpy_htod_async(address, array, self._stream)

    def download(self, address: int, array: NDArray[Any]) -> None:
        self._cuda.memcpy_dtoh_async(array, address, self._stream)

    def clear(self, address: int, nbytes: int) -> None:
        self._cuda.memset_d8_async(address, 0, nbytes, self._stream)

    def launch(self, launches: Sequence[Launch]) -> None:
        for one in launches:
            self._kernels[one.kernel](one.parameters, block=(THREADS, 1, 1), grid=one.grid, stream=self._stream)

    def synchronise(self) -> None:
        self._stream.synchronize()

    def seconds_of(self, launches: Sequence[Launch]) -> float:
        """Device time of a sequence of launches, by events; for benchmarks. Inside `run`."""
        start, end = self._cuda.Event(), self._cuda.Event()
        start.record(self._stream)
        self.launch(launches)
        end.record(self._stream)
        end.synchronize()
        return float(start.time_till(end)) * 1e-3

    def close(self) -> None:
        """Gives back all memory and the context; the device cannot be used afterwards."""
        self._owner.close()

    # --- in the owning thread ----------------------------------------------------------------------------------------

    def _open(self, fatbin: Fatbin) -> None:
        cuda = self._cuda
        cuda.init()
        if cuda.Device.count() == 0:
            raise DeviceError("the driver finds no CUDA device")
        device = cuda.Device(0)
        capability = device.compute_capability()
        self._name = f"{device.name()} (sm_{capability[0]}{capability[1]})"
        fatbin.check_runs_on(capability, self._name)
        self._context = device.retain_primary_context()
        self._current(lambda: self._load(fatbin))

    def _load(self, fatbin: Fatbin) -> None:
        self._stream = self._cuda.Stream()
        self._module = self._cuda.module_from_buffer(fatbin.image)
        self._kernels = {name: self._module.get_function(name) for name in OF_KERNEL}
        self._pool = self._tools.DeviceMemoryPool()

    def _current(self, work: Callable[[], Result]) -> Result:
        return within(self._context, work)

    def _shut(self) -> None:
        if self._context is None:
            return

        def release() -> None:
            self._blocks.clear()
            self._pinned.clear()
            self._kernels = {}
            self._module = self._stream = None
            self._pool.stop_holding()
            self._pool = None

        self._current(release)
        self._context.detach()
        self._context = None


def _pycuda() -> tuple[Any, Any]:
    try:
        import pycuda.driver
        import pycuda.tools
    except ImportError as error:
        missing = "pycuda is not installed" if error.name in ("pycuda", "pycuda.driver") else f"pycuda: {error}"
        raise DeviceError(
            f"{missing}, which {FEATURE} needs; './build.sh setup' installs it where a CUDA device and toolkit are"
        ) from error
    return pycuda.driver, pycuda.tools
