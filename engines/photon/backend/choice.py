"""Which backend computes: chosen once for a process, by what is asked for and by what works here."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from engines.errors import DeviceError
from engines.photon.backend.cpu import CpuBackend
from engines.photon.backend.cuda_dose import CudaBackend
from engines.photon.backend.driver import driver_devices
from engines.photon.backend.fatbin import load_fatbin
from engines.photon.backend.protocol import Backend
from engines.photon.backend.selftest import TOLERANCE, disagreement

DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, eq=False)
class Choice:
    """The backend, and in one sentence why it is this one."""

    backend: Backend
    why: str


_lock = threading.Lock()
_chosen: dict[str, Choice] = {}


def choose(device: DeviceName = "auto") -> Choice:
    """'cpu': the CPU. 'cuda': the GPU, or DeviceError with what is missing. 'auto': the GPU where one works and
    computes what the CPU computes, else the CPU with the reason. Asked again, the answer is the same."""
    with _lock:
        if device not in _chosen:
            _chosen[device] = _choose(device)
        return _chosen[device]


def _choose(device: DeviceName) -> Choice:
    if device == "cpu":
        return Choice(CpuBackend(), "the CPU was asked for")
    if device == "auto" and "cuda" in _chosen:
        return Choice(_chosen["cuda"].backend, "a GPU works")
    try:
        backend = open_cuda()
    except DeviceError as error:
        if device == "cuda":
            raise
        return Choice(CpuBackend(), f"no GPU is used: {error}")
    made = Choice(backend, "the GPU was asked for" if device == "cuda" else "a GPU works")
    return _chosen.setdefault("cuda", made) if device == "cuda" else made


def open_cuda() -> CudaBackend:
    """The first GPU, tested against the CPU. Raises DeviceError with what is missing, in the order in which a person
    would put it right: driver, device, compiled kernels, pycuda; or with what it computes wrongly."""
    count, reason = driver_devices()
    if count == 0:
        raise DeviceError(reason)
    fatbin = load_fatbin()
    from engines.photon.backend.cuda import CudaDevice

    device = CudaDevice(fatbin)
    backend = CudaBackend(device)
    try:
        off = disagreement(backend)
    except DeviceError:
        device.close()
        raise
    if not off <= TOLERANCE:
        device.close()
        raise DeviceError(f"{device.name} computes another dose than the CPU (off by {off:.1e} of the maximum)")
    return backend
