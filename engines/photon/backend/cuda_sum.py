"""Final doses on a GPU: points, depths and the sum stay on the device; up goes one fluence raster a beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.photon.backend.device import Buffer, Device, fetched
from engines.photon.backend.maps import DeviceMaps
from engines.photon.backend.points import FLOAT, DeviceMedium, DevicePoints
from engines.photon.backend.protocol import wanted_index
from engines.photon.beam_model import BeamModel
from engines.photon.dose import FluenceOnRaster, Medium, bounds, box_corners_mm, projected_extent
from engines.photon.frame import BeamFrame, beam_frame
from engines.photon.raster import raster_for

LARGEST_CACHE_SHARE = 0.25
"""Of the free device memory, for the depths of beams that come again (chosen)."""


class CudaDoseSum:
    """Implements DoseSum on a device."""

    def __init__(
        self,
        device: Device,
        placed: DeviceMedium,
        model: BeamModel,
        medium: Medium,
        wanted: NDArray[np.bool_],
    ) -> None:
        self._device, self._placed, self._model, self._medium = device, placed, model, medium
        self._corners_mm = box_corners_mm(medium.grid.cropped(*bounds(wanted)))
        self._depths: dict[bytes, Buffer] = {}
        self._index = wanted_index(medium, wanted)
        self._device.run(lambda: self._place(medium.grid.centres_mm(self._index)))

    def _place(self, points_mm: NDArray[np.float32]) -> None:
        any_frame = beam_frame((0.0, 0.0, 0.0), 0.0, sad_mm=self._model.sad_mm)
        self._points = DevicePoints(self._device, (any_frame,), points_mm, self._model)
        self._dose = Buffer(self._device, FLOAT * len(points_mm))
        self._device.clear(self._dose.address, self._dose.nbytes)
        self._room = int(LARGEST_CACHE_SHARE * self._device.free_bytes())
        self._device.synchronise()

    def add(
        self,
        frame: BeamFrame,
        fluence: FluenceOnRaster,
        *,
        field_extent_mm: tuple[float, float, float, float],
        pitch_mm: float = 1.0,
    ) -> None:
        reach = float(self._model.kernels[0].radius_mm[-1])
        extent = projected_extent([frame], self._corners_mm)
        raster = raster_for(extent, field_extent_mm, pitch_mm, reach_mm=reach)
        drawn = np.ascontiguousarray(fluence(raster), np.float32)
        ssd_mm = self._medium.ssd_mm(frame)

        def work() -> None:
            self._points.set_frames((frame,))
            maps = DeviceMaps(self._device, self._model, raster, (ssd_mm,))
            self._device.upload(maps.fluence.address, maps.head.add(drawn[None]) if maps.head else drawn)
            self._device.launch(maps.forward)
            gather = self._points.dose(maps.maps, raster, self._dose, keep=1.0, depth=self._depth(frame).address)
            self._device.launch((gather,))
            self._device.synchronise()

        self._device.run(work)

    def _depth(self, frame: BeamFrame) -> Buffer:
        """Depths of all points for one source position, traced once while there is room for them."""
        key = frame.source_mm.tobytes()
        if key in self._depths:
            return self._depths[key]
        keep = self._points.depth.nbytes * (len(self._depths) + 1) <= self._room
        target = Buffer(self._device, self._points.depth.nbytes) if keep else self._points.depth
        self._device.launch((self._points.trace(self._placed, target),))
        if keep:
            self._depths[key] = target
        return target

    def take(self) -> NDArray[np.float32]:
        def work() -> NDArray[np.float32]:
            taken = fetched(self._device, self._dose, (self._points.n,))
            self._device.clear(self._dose.address, self._dose.nbytes)
            self._device.synchronise()
            return taken

        dose = np.zeros(self._medium.grid.shape, np.float32)
        dose.reshape(-1)[self._index] = self._device.run(work)
        return dose
