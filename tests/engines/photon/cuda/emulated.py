"""A Device whose memory is the host's and whose kernels are photon.cu compiled by g++ (emulation/emulate.cpp)."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError
from engines.photon.backend.parameters import THREADS, Launch

HERE = Path(__file__).parent / "emulation"
KERNELS = Path(__file__).resolve().parents[4] / "engines" / "photon" / "kernels"
FREE_BYTES = 1 << 30


def compiled(folder: Path) -> Path | None:
    """The shared object, or None where there is no C++ compiler."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return None
    made = folder / "libcuda.so.1"
    flags = ["-std=c++17", "-O2", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra", "-Werror"]
    flags += ["-Wno-unknown-pragmas", "-shared", "-fPIC", f"-I{HERE}", f"-I{KERNELS}"]
    sources = [str(HERE / "emulate.cpp"), str(HERE / "driver.cpp")]
    done = subprocess.run([compiler, *flags, *sources, "-o", str(made)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"photon.cu does not compile for the host:\n{done.stderr[:4000]}")
    return made


class EmulatedDevice:
    """Memory is allocated with guard bytes around it, so that a kernel that writes past its buffer is found."""

    name = "emulation"
    GUARD = 64

    def __init__(self, library: Path, *, free_bytes: int = FREE_BYTES) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.emulate.argtypes = [
            ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
        ]  # fmt: skip
        self.blocks: dict[int, NDArray[np.uint8]] = {}
        self.pinned: dict[int, NDArray[np.uint8]] = {}
        self.launched: list[str] = []
        self.copied_bytes = 0
        self._limit = free_bytes

    def run(self, work: Callable[[], Any]) -> Any:
        return work()

    def allocate(self, nbytes: int) -> int:
        if nbytes > self.free_bytes():
            raise DeviceError("out of memory")
        # 16-byte alignment, as float4 needs; a device's own allocations are aligned to 256.
        block = np.full(nbytes + 2 * self.GUARD + 16, 0xAB, np.uint8)
        address = -(-block.ctypes.data // 16) * 16 + self.GUARD
        self.blocks[address] = block[address - block.ctypes.data - self.GUARD :][: nbytes + 2 * self.GUARD]
        return address

    def free(self, address: int) -> None:
        block = self.blocks.pop(address)
        if not ((block[: self.GUARD] == 0xAB).all() and (block[-self.GUARD :] == 0xAB).all()):
            raise AssertionError("a kernel wrote outside its buffer")

    def check_guards(self) -> None:
        for address, block in self.blocks.items():
            assert (block[: self.GUARD] == 0xAB).all() and (block[-self.GUARD :] == 0xAB).all(), hex(address)

    def free_bytes(self) -> int:
        return self._limit - sum(block.size - 2 * self.GUARD for block in self.blocks.values())

    def allocate_host(self, nbytes: int) -> int:
        block = np.empty(nbytes, np.uint8)
        self.pinned[block.ctypes.data] = block
        return int(block.ctypes.data)

    def free_host(self, address: int) -> None:
        del self.pinned[address]

    def upload(self, address: int, array: NDArray[Any]) -> None:
        assert array.flags.c_contiguous
        self.copied_bytes += array.nbytes
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def download(self, address: int, array: NDArray[Any]) -> None:
        assert array.flags.c_contiguous
        self.copied_bytes += array.nbytes
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def clear(self, address: int, nbytes: int) -> None:
        ctypes.memset(address, 0, nbytes)

    def launch(self, launches: Sequence[Launch]) -> None:
        for one in launches:
            self.launched.append(one.kernel)
            grid, block = (ctypes.c_uint * 3)(*one.grid), (ctypes.c_uint * 3)(THREADS, 1, 1)
            parameters = one.parameters.tobytes()
            code = self._library.emulate(one.kernel.encode(), grid, block, parameters, len(parameters))
            assert code == 0, f"{one.kernel}: {('unknown', 'parameters of another size')[code - 1]}"

    def seconds_of(self, launches: Sequence[Launch]) -> float:
        self.launch(launches)
        return 1.0

    def last_thread_first(self, chosen: bool) -> None:
        """Of kernels whose threads do not wait for each other."""
        self._library.emulate_last_first(int(chosen))

    def synchronise(self) -> None:
        pass
