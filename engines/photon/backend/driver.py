"""What the CUDA driver itself says, before anything that is built on it is loaded."""

from __future__ import annotations

import ctypes


def driver_devices() -> tuple[int, str]:
    """(devices, why there is none) from the CUDA driver itself: cuInit, cuDeviceGetCount. No context is made."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, "there is no CUDA driver (libcuda.so.1)"
    code = driver.cuInit(0)
    if code != 0:
        return 0, f"the CUDA driver does not start (cuInit answered {code})"
    count = ctypes.c_int(0)
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code != 0 or count.value == 0:
        return 0, "the CUDA driver finds no device"
    return count.value, ""
