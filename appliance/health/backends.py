"""Check 'backends': can this machine compute a dose, and with what.

Imports the compiled kernels, asks how many OpenMP threads they will use, and traces rays through a water cube with
them: the radiological depth must be the geometric one. Then asks the CUDA driver how many devices there are, or says
why there is none. Failed without working kernels; degraded if OpenMP gives one thread on a machine of several cores.
CUDA is reported, not demanded: this release computes on the CPU.
"""

from __future__ import annotations

import ctypes
import importlib
import os

import numpy as np
from pydantic import JsonValue

from appliance.config import Config
from appliance.health.result import Finding, Status

KERNELS = "engines.photon._kernels"

DEPTH_TOLERANCE_MM = 0.05
"""Difference allowed between traced and geometric depth in the 100 mm water cube: float32 rounding over a 1 m ray is
1e-4 mm; the rest is slack for another order of summation. Chosen."""


def check(config: Config) -> Finding:
    cuda_devices, cuda = cuda_found()
    detail: dict[str, JsonValue] = {"cuda_devices": cuda_devices, "cuda": cuda}
    try:
        kernels = importlib.import_module(KERNELS)
    except ImportError as error:
        return Finding(
            Status.FAILED,
            "The compiled dose kernels cannot be loaded, so nothing can be planned; run ./build.sh setup.",
            {**detail, "error": str(error)},
        )
    threads = int(kernels.max_threads())
    error_mm = depth_error_mm(kernels, threads)
    detail |= {"openmp_threads": threads, "depth_error_mm": error_mm}
    if not error_mm <= DEPTH_TOLERANCE_MM:
        sentence = f"The dose kernels compute wrongly here (depth off by {error_mm:.3g} mm); rebuild: ./build.sh setup."
        return Finding(Status.FAILED, sentence, detail)
    if threads == 1 and len(os.sched_getaffinity(0)) > 1:
        return Finding(Status.DEGRADED, "The dose kernels use one thread only; unset OMP_NUM_THREADS.", detail)
    return Finding(Status.OK, f"CPU kernels work, {threads} OpenMP threads. CUDA: {cuda}.", detail)


def depth_error_mm(kernels: object, threads: int) -> float:
    """Largest difference between traced and geometric depth along the axis of a 100 mm cube of water (51 voxels of
    2 mm from -50 to +50 mm, so water reaches from y = -51 to 51), source 1000 mm above the centre."""
    density = np.ones((51, 51, 51), np.float32)
    y_mm = np.linspace(-40.0, 40.0, 17, dtype=np.float32)
    points = np.stack([np.zeros_like(y_mm), y_mm, np.zeros_like(y_mm)], axis=1)
    out = np.full(len(points), np.nan, np.float32)
    kernels.depth_of_points(  # type: ignore[attr-defined]
        density, [-50.0] * 3, [2.0] * 3, [0.0, -1000.0, 0.0], np.ascontiguousarray(points), out, threads
    )
    return float(np.max(np.abs(out - (y_mm + 51.0))))


def cuda_found() -> tuple[int, str]:
    """(devices, sentence part) from the CUDA driver API itself: cuInit, cuDeviceGetCount. No context is made."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, "no driver library (libcuda.so.1), so the CPU is used"
    code = driver.cuInit(0)
    if code != 0:
        return 0, f"the driver does not start (cuInit answered {code}), so the CPU is used"
    count = ctypes.c_int(0)
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code != 0 or count.value == 0:
        return 0, "the driver finds no device, so the CPU is used"
    return count.value, f"{count.value} device{'s' if count.value > 1 else ''} found, not used by this release"
