"""Check 'backends': can this machine compute a dose, and with what.

Imports the compiled kernels, asks how many OpenMP threads they will use, and traces rays through a water cube with
them: the radiological depth must be the geometric one. Then makes the choice between CPU and GPU that planning will
make and lists what it depends on: driver, device, compiled GPU kernels with their architectures, pycuda. A GPU is used
only after it has computed a small problem as the CPU does. Failed without working CPU kernels, or where the
configuration demands a GPU that cannot be used; degraded if OpenMP gives one thread on a machine of several cores, or a
device is there and cannot be used. A machine without a GPU is in order.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from pydantic import JsonValue

from appliance.config import Config
from appliance.health.result import Finding, Status
from engines.errors import DeviceError
from engines.photon.backend.choice import DeviceName, choose
from engines.photon.backend.driver import driver_devices
from engines.photon.backend.fatbin import load_fatbin

KERNELS = "engines.photon._kernels"

DEPTH_TOLERANCE_MM = 0.05
"""Difference allowed between traced and geometric depth in the 100 mm water cube: float32 rounding over a 1 m ray is
1e-4 mm; the rest is slack for another order of summation. Chosen."""


def check(config: Config) -> Finding:
    try:
        kernels = importlib.import_module(KERNELS)
    except ImportError as error:
        return Finding(
            Status.FAILED,
            "The compiled dose kernels cannot be loaded, so nothing can be planned; run ./build.sh setup.",
            {"error": str(error)},
        )
    threads = int(kernels.max_threads())
    error_mm = depth_error_mm(kernels, threads)
    detail: dict[str, JsonValue] = {"openmp_threads": threads, "depth_error_mm": error_mm}
    if not error_mm <= DEPTH_TOLERANCE_MM:
        sentence = f"The dose kernels compute wrongly here (depth off by {error_mm:.3g} mm); rebuild: ./build.sh setup."
        return Finding(Status.FAILED, sentence, detail)
    choice = chosen(config.planning.device)
    detail |= choice.detail
    if not choice.works:
        return Finding(Status.FAILED, choice.sentence, detail)
    if threads == 1 and len(os.sched_getaffinity(0)) > 1:
        return Finding(Status.DEGRADED, "The dose kernels use one thread only; unset OMP_NUM_THREADS.", detail)
    sentence = f"CPU kernels work, {threads} OpenMP threads. {choice.sentence}"
    return Finding(Status.DEGRADED if choice.wasted else Status.OK, sentence, detail)


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


@dataclass(frozen=True)
class Chosen:
    """What computes dose under a configuration. `works` is false where it was told to use a GPU that cannot be used;
    `wasted`: a device is there and not used although nobody asked for the CPU."""

    sentence: str
    detail: dict[str, JsonValue]
    works: bool = True
    wasted: bool = False


def chosen(device: DeviceName) -> Chosen:
    """Makes the choice that planning will make, the GPU's self-test included, and lists the parts it depends on."""
    devices, missing = driver_devices()
    detail: dict[str, JsonValue] = {
        "asked": device,
        "cuda_devices": devices,
        "cuda_driver": missing or "answers",
        "gpu_kernels": gpu_kernels(),
        "pycuda": _version_of("pycuda"),
    }
    try:
        choice = choose(device)
    except DeviceError as error:
        return Chosen(f"The GPU is asked for and cannot be used: {error}.", {**detail, "device": "none"}, works=False)
    name = choice.backend.name
    detail |= {"device": name, "why": choice.why, "summary": choice.backend.summary}
    wasted = name == "cpu" and device == "auto" and devices > 0
    return Chosen(f"Dose is computed by: {choice.backend.summary} ({choice.why}).", detail, wasted=wasted)


def gpu_kernels() -> str:
    """Architectures of the compiled GPU kernels and the compiler's version, or why there are none."""
    try:
        fatbin = load_fatbin()
    except DeviceError as error:
        return str(error)
    return f"{fatbin.architectures}, nvcc {fatbin.compiler}"


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
