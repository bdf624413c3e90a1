"""Points under beams on the device: their depths, and their order by raster cell for the adjoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.backend.device import Buffer, Device, filled
from engines.photon.backend.parameters import (
    LARGEST_COUNT,
    POINT,
    Launch,
    attenuation_record,
    beam_records,
    blocks,
    lattice_record,
    pack,
    packed,
    raster_record,
)
from engines.photon.beam_model import BeamModel
from engines.photon.dose import Medium
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster

POINT_BYTES, FLOAT, INT = 16, 4, 4
SORTED_AT_ONCE = 1 << 26
"""Point and beam pairs sorted at a time: 256 MiB of scratch (chosen)."""
SUMMED_AT_ONCE = 1 << 26
"""Bytes of cell sums held at a time (chosen: they then stay in the 50 MB of an H100's second-level cache)."""
SUM_BYTES = 48
LANES = 8
"""Threads that share a cell (kLanes of photon.cu)."""


@dataclass(frozen=True, eq=False)
class DeviceMedium:
    """A Medium's box of matter on a device."""

    density: Buffer
    lattice: np.void


def place_medium(device: Device, medium: Medium) -> DeviceMedium:
    grid, density = medium.box
    return DeviceMedium(filled(device, density), lattice_record(grid))


class DevicePoints:
    """Points (n, 3) LPS mm under beams, resident: position and gradient (16 bytes a point), radiological depth (4 bytes
    a point and beam). Projection and depth factors are worked out again whenever they are needed. Without a
    beam model there is depth only. Made inside Device.run."""

    def __init__(
        self,
        device: Device,
        frames: tuple[BeamFrame, ...],
        points_mm: NDArray[np.float32],
        model: BeamModel | None = None,
    ) -> None:
        if points_mm.ndim != 2 or points_mm.shape[1] != 3 or not 0 < len(points_mm) <= LARGEST_COUNT:
            raise EngineError(f"points must be (n, 3) with 0 < n <= {LARGEST_COUNT}, got {points_mm.shape}")
        self.n, self.beams = len(points_mm), len(frames)
        self._device, self._model = device, model
        padded = np.zeros((self.n, 4), np.float32)
        padded[:, :3] = points_mm
        self.points = filled(device, padded)
        self._frames = filled(device, beam_records(frames).view(np.uint8))
        self.depth = Buffer(device, FLOAT * self.n * self.beams)

    def set_frames(self, frames: tuple[BeamFrame, ...]) -> None:
        """Other beams, as many as before."""
        if len(frames) != self.beams:
            raise EngineError(f"{self.beams} beams are laid out, got {len(frames)}")
        self._device.upload(self._frames.address, beam_records(frames).view(np.uint8))
        self._device.synchronise()

    def trace(self, medium: DeviceMedium, target: Buffer | None = None) -> Launch:
        """Rays of all points and beams through a medium, into `depth` or another buffer of its size."""
        fields = {
            "points": self.points.address, "density": medium.density.address, "beams": self._frames.address,
            "depth": (target or self.depth).address, "lattice": medium.lattice, "beam_count": self.beams, "n": self.n,
        }  # fmt: skip
        return Launch("depth_of_points", (blocks(self.n), self.beams, 1), pack("depth_of_points", **fields))

    def at(self, raster: Raster, *, first: int = 0, beams: int | None = None, depth: int | None = None) -> np.void:
        """PointParams of `beams` beams from `first` on; `depth` where the depths lie elsewhere."""
        if self._model is None:
            raise EngineError("these points were laid out without a beam model")
        fields = {
            "points": self.points.address,
            "depth": depth if depth is not None else self.depth.at(FLOAT * self.n * first),
            "beams": self._frames.at(64 * first),
            "attenuation": attenuation_record(self._model),
            "raster": raster_record(raster),
            "beam_count": self.beams if beams is None else beams,
            "n": self.n,
        }
        return packed(POINT, fields)

    def geometry(self, raster: Raster, target: Buffer) -> Launch:
        parameters = pack("geometry_of_points", at=self.at(raster), geometry=target.address)
        return Launch("geometry_of_points", (blocks(self.n), self.beams, 1), parameters)

    def dose(
        self, maps: Buffer, raster: Raster, target: Buffer, *, keep: float = 0.0, depth: int | None = None
    ) -> Launch:
        """target (n,) = keep * target + dose of all beams; keep 0 does not read it."""
        at = self.at(raster, depth=depth)
        parameters = pack("forward", at=at, maps=maps.address, dose=target.address, keep=keep, scale=1.0)
        return Launch("forward", (blocks(self.n), 1, 1), parameters)

    def place_gradient(self, gradient: Buffer) -> Launch:
        parameters = pack("place_gradient", points=self.points.address, gradient=gradient.address, n=self.n)
        return Launch("place_gradient", (blocks(self.n), 1, 1), parameters)


class SortedPoints:
    """Points of every beam by raster cell (4 bytes a point and beam): what makes the adjoint a sum in fixed order
    instead of a race of atomic additions. Made inside Device.run."""

    def __init__(self, device: Device, points: DevicePoints, raster: Raster) -> None:
        self._points, self._raster = points, raster
        self._cells = raster.nu * raster.nv
        n, beams = points.n, points.beams
        self._order = Buffer(device, INT * n * beams)
        self._begin = Buffer(device, INT * (self._cells + 1) * beams)
        group = max(1, min(beams, SORTED_AT_ONCE // n))
        cell, cursor = Buffer(device, INT * n * group), Buffer(device, INT * self._cells * group)
        for first in range(0, beams, group):
            device.clear(cursor.address, cursor.nbytes)
            device.launch(self._sort(first, min(group, beams - first), cell, cursor))
        device.synchronise()
        cell.close()
        cursor.close()
        self._group = max(1, min(beams, SUMMED_AT_ONCE // (SUM_BYTES * self._cells)))
        self._sums = Buffer(device, SUM_BYTES * self._cells * self._group)

    @staticmethod
    def bytes_needed(n: int, beams: int, raster: Raster) -> int:
        cells = raster.nu * raster.nv
        scratch = INT * max(1, min(beams, SORTED_AT_ONCE // n)) * (n + cells)
        sums = SUM_BYTES * cells * max(1, min(beams, SUMMED_AT_ONCE // (SUM_BYTES * cells)))
        return INT * beams * (n + cells + 1) + max(scratch, sums)

    def _sort(self, first: int, beams: int, cell: Buffer, cursor: Buffer) -> tuple[Launch, ...]:
        fields = {
            "at": self._points.at(self._raster, first=first, beams=beams), "cell": cell.address,
            "cursor": cursor.address, "begin": self._begin.at(INT * (self._cells + 1) * first),
            "order": self._order.at(INT * self._points.n * first),
        }  # fmt: skip
        by_point, by_cell = (blocks(self._points.n), beams, 1), (blocks(self._cells), beams, 1)
        grids = {"count_cells": by_point, "scan_cells": (beams, 1, 1), "fill_cells": by_point, "order_cells": by_cell}
        return tuple(Launch(kernel, grid, pack(kernel, **fields)) for kernel, grid in grids.items())

    def gradient_of_maps(self, planes: Buffer) -> tuple[Launch, ...]:
        """The gradient placed in the points to that of the kernel maps, (beams, 3, nv, nu)."""
        launches = []
        for first in range(0, self._points.beams, self._group):
            beams = min(self._group, self._points.beams - first)
            fields = {
                "at": self._points.at(self._raster, first=first, beams=beams),
                "begin": self._begin.at(INT * (self._cells + 1) * first),
                "order": self._order.at(INT * self._points.n * first), "sums": self._sums.address,
            }  # fmt: skip
            launches.append(Launch("sum_cells", (blocks(self._cells * LANES), beams, 1), pack("sum_cells", **fields)))
            nodes = pack(
                "sum_nodes", sums=self._sums.address, maps=planes.at(FLOAT * 3 * self._cells * first),
                raster=raster_record(self._raster), beam_count=beams,
            )  # fmt: skip
            launches.append(Launch("sum_nodes", (blocks(self._cells), beams, 1), nodes))
        return tuple(launches)
