"""Dose on a GPU: everything but fluence and dose stays on the device for the whole optimisation."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError, EngineError
from engines.photon.backend.cuda_sum import CudaDoseSum
from engines.photon.backend.cuda_superposition import CudaSuperposition
from engines.photon.backend.device import Buffer, Device, HostBuffer, fetched
from engines.photon.backend.maps import DeviceMaps
from engines.photon.backend.points import FLOAT, POINT_BYTES, DeviceMedium, DevicePoints, SortedPoints, place_medium
from engines.photon.backend.protocol import DoseSum, Exposure
from engines.photon.beam_model import BeamModel
from engines.photon.dose import Medium
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster
from engines.photon.superposition.model import SuperpositionModel

MEMORY_SHARE = 0.9
"""Of the free device memory that one operator may take (chosen: the rest is for the display and other processes)."""


class CudaBackend:
    """Implements Backend on a Device. Media are placed on it once and leave it with the last reference to them."""

    name = "cuda"

    def __init__(self, device: Device) -> None:
        self.device, self.summary = device, f"CUDA, {device.name}"
        self._media: weakref.WeakKeyDictionary[Medium, DeviceMedium] = weakref.WeakKeyDictionary()

    def placed(self, medium: Medium) -> DeviceMedium:
        """Inside Device.run."""
        if medium not in self._media:
            self._media[medium] = place_medium(self.device, medium)
        return self._media[medium]

    def dose_operator(self, model: BeamModel, raster: Raster, exposure: Exposure) -> CudaDoseOperator:
        """Raises DeviceError where the device's memory does not suffice."""
        return CudaDoseOperator(self, model, raster, exposure)

    def dose_sum(self, model: BeamModel, medium: Medium, wanted: NDArray[np.bool_]) -> DoseSum:
        placed = self.device.run(lambda: self.placed(medium))
        return CudaDoseSum(self.device, placed, model, medium, wanted)

    def superposition(self, model: SuperpositionModel, medium: Medium) -> CudaSuperposition:
        return CudaSuperposition(self.device, model, medium)

    def depth_mm(
        self, medium: Medium, frames: Sequence[BeamFrame], points_mm: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Radiological depth (beams, n) in mm of LPS points (n, 3)."""

        def work() -> NDArray[np.float32]:
            points = DevicePoints(self.device, tuple(frames), np.asarray(points_mm, np.float32))
            self.device.launch((points.trace(self.placed(medium)),))
            return fetched(self.device, points.depth, (points.beams, points.n))

        return self.device.run(work)


class CudaDoseOperator:
    """dose.DoseOperator on a device: D = A F for fixed points and beams, and A^T. Up go fluence or dose gradient, down
    come dose or fluence gradient, through page-locked memory; nothing else moves. Results are the same to the last bit
    at every call and on every run of one device and build."""

    def __init__(self, backend: CudaBackend, model: BeamModel, raster: Raster, exposure: Exposure) -> None:
        self.raster, self._backend, self._model, self._exposure = raster, backend, model, exposure
        self._device = backend.device
        self._device.run(self._place)

    def _place(self) -> None:
        device, raster, exposure = self._device, self.raster, self._exposure
        beams, n = len(exposure.frames), len(exposure.points_mm)
        check_room(device, bytes_needed(raster, beams, n))
        self._points = DevicePoints(device, exposure.frames, exposure.points_mm, self._model)
        device.launch((self._points.trace(self._backend.placed(exposure.medium)),))
        self._sorted = SortedPoints(device, self._points, raster)
        self._maps = DeviceMaps(device, self._model, raster, exposure.ssd_mm)
        self._dose = Buffer(device, FLOAT * n)
        self._host_fluence = HostBuffer(device, (beams, raster.nv, raster.nu))
        self._host_dose = HostBuffer(device, (n,))
        self._forward = (*self._maps.forward, self._points.dose(self._maps.maps, raster, self._dose))
        self._adjoint = (
            self._points.place_gradient(self._dose),
            *self._sorted.gradient_of_maps(self._maps.planes),
            *self._maps.adjoint,
        )
        device.synchronise()

    def forward(self, fluence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fluence (beams, nv, nu) to dose (n,)."""
        _check_shape("fluence", fluence, self._host_fluence.array.shape)

        def work() -> NDArray[np.float32]:
            self._host_fluence.array[...] = self._maps.head.add(fluence) if self._maps.head else fluence
            self._device.upload(self._maps.fluence.address, self._host_fluence.array)
            self._device.launch(self._forward)
            self._device.download(self._dose.address, self._host_dose.array)
            self._device.synchronise()
            return self._host_dose.array.copy()

        return self._device.run(work)

    def adjoint(self, dose_gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gradient in the dose (n,) to gradient in the fluence (beams, nv, nu)."""
        _check_shape("dose gradient", dose_gradient, self._host_dose.array.shape)

        def work() -> NDArray[np.float32]:
            self._host_dose.array[...] = dose_gradient
            self._device.upload(self._dose.address, self._host_dose.array)
            self._device.launch(self._adjoint)
            self._device.download(self._maps.fluence.address, self._host_fluence.array)
            self._device.synchronise()
            got = self._host_fluence.array
            return self._maps.head.transposed(got) if self._maps.head else got.copy()

        return self._device.run(work)

    def with_points(self, added_mm: NDArray[np.float32], order: NDArray[np.integer]) -> CudaDoseOperator:
        """All points are traced again, which on a device takes less than moving depths about."""
        return CudaDoseOperator(self._backend, self._model, self.raster, self._exposure.with_points(added_mm, order))

    def geometry(self) -> NDArray[np.float32]:
        """(beams, n, 5) as dose.point_geometry; for tests and inspection, the operator itself never stores it."""

        def work() -> NDArray[np.float32]:
            target = Buffer(self._device, FLOAT * 5 * self._points.n * self._points.beams)
            self._device.launch((self._points.geometry(self.raster, target),))
            return fetched(self._device, target, (self._points.beams, self._points.n, 5))

        return self._device.run(work)

    def kernel_seconds(self) -> float:
        """Device time of one forward and one adjoint without transfers, for benchmarks."""
        return self._device.run(lambda: self._device.seconds_of((*self._forward, *self._adjoint)))

    def seconds_by_kernel(self) -> dict[str, float]:
        """The same, a kernel at a time (of both directions together): where a gradient's time goes."""

        def work() -> dict[str, float]:
            told: dict[str, float] = {}
            for launch in (*self._forward, *self._adjoint):
                told[launch.kernel] = told.get(launch.kernel, 0.0) + self._device.seconds_of((launch,))
            return told

        return self._device.run(work)


def bytes_needed(raster: Raster, beams: int, n: int) -> int:
    """Device memory of a CudaDoseOperator, without density."""
    points = n * POINT_BYTES + FLOAT * n * (beams + 1)
    return points + SortedPoints.bytes_needed(n, beams, raster) + DeviceMaps.bytes_needed(raster, beams, beams)


def check_room(device: Device, nbytes: int) -> None:
    """Raises DeviceError before anything is allocated for a problem that does not fit."""
    free = device.free_bytes()
    if nbytes > MEMORY_SHARE * free:
        raise DeviceError(
            f"this problem needs {nbytes / 2**30:.2f} GiB of device memory and {free / 2**30:.2f} GiB are free on "
            f"{device.name}; use fewer control points, a coarser dose grid, or the CPU"
        )


def _check_shape(what: str, array: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise EngineError(f"{what} must be {shape}, got {array.shape}")
