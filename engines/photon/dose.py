"""Photon dose without a dose-influence matrix: forward and exact transpose on any list of points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid
from engines.photon import _kernels
from engines.photon.beam_model import BeamModel
from engines.photon.convolution import THREADS, KernelMaps
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster, raster_for

AXIS_STEP_MM = 0.5
SURFACE_DENSITY = 0.2
"""The surface on a beam's axis is where relative electron density first exceeds this (chosen: above air and foam,
below lung)."""


Corner = tuple[int, int, int]


def bounds(filled: NDArray[Any]) -> tuple[Corner, Corner]:
    """Smallest box lower <= index < upper (z, y, x) that holds everything but zeros; one voxel where all is zero."""
    by_z = np.flatnonzero(filled.any(axis=(1, 2)))
    if not by_z.size:
        return (0, 0, 0), (1, 1, 1)
    plane = np.asarray(filled.any(axis=0))
    by_y, by_x = np.flatnonzero(np.any(plane, axis=1)), np.flatnonzero(np.any(plane, axis=0))
    low, high = ((int(by_z[i]), int(by_y[i]), int(by_x[i])) for i in (0, -1))
    return low, (high[0] + 1, high[1] + 1, high[2] + 1)


@dataclass(frozen=True, eq=False)
class Medium:
    """Relative electron density (z, y, x) float32 on a grid; empty space is 0 outside the patient. Rays are traced in
    the box of what is not empty."""

    grid: Grid
    density: NDArray[np.float32]

    @cached_property
    def box(self) -> tuple[Grid, NDArray[np.float32]]:
        """Grid and density of the part that rays are traced in."""
        low, high = bounds(self.density)
        cut = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        return self.grid.cropped(low, high), np.ascontiguousarray(self.density[cut])

    def depth_mm(
        self, frame: BeamFrame, points_mm: NDArray[np.float32], *, threads: int = THREADS
    ) -> NDArray[np.float32]:
        """Radiological depth (n,) in mm of water of LPS points (n, 3), by ray tracing from the source."""
        grid, density = self.box
        out = np.empty(len(points_mm), np.float32)
        _kernels.depth_of_points(
            density,
            list(grid.origin_mm),
            list(grid.spacing_mm),
            frame.source_mm.tolist(),
            np.ascontiguousarray(points_mm, np.float32),
            out,
            threads,
        )
        return out

    def ssd_mm(self, frame: BeamFrame) -> float:
        """Distance from the source to the surface on the beam's axis; to the isocentre if nothing lies before it."""
        steps = np.arange(0.0, frame.sad_mm, AXIS_STEP_MM)
        points = frame.source_mm - steps[:, None] * frame.ez
        index = np.floor((points - self.grid.origin_mm) / self.grid.spacing_mm + 0.5).astype(int)
        inside = np.all((index >= 0) & (index < self.grid.shape[::-1]), axis=1)
        i = index[inside]
        dense = np.flatnonzero(self.density[i[:, 2], i[:, 1], i[:, 0]] > SURFACE_DENSITY)
        return float(steps[inside][dense[0]]) if dense.size else frame.sad_mm


def point_geometry(
    model: BeamModel,
    frame: BeamFrame,
    points_mm: NDArray[np.float32],
    depth_mm: NDArray[np.float32],
    *,
    threads: int = THREADS,
) -> NDArray[np.float32]:
    """(n, 5) per point: projection u, v in mm at the isocentre plane and the three depth factors with (SAD/r)^2, at
    depth_mm (n,) along its own ray, softening of the model included."""
    out = np.empty((len(points_mm), _kernels.GEOMETRY), np.float32)
    _kernels.geometry_of_points(
        np.ascontiguousarray(points_mm, np.float32),
        depth_mm,
        list(frame.isocentre_mm),
        frame.ex.tolist(),
        frame.ey.tolist(),
        frame.ez.tolist(),
        frame.sad_mm,
        model.attenuation_per_mm,
        list(model.betas_per_mm),
        list(model.softening),
        out,
        threads,
    )
    return out


class DoseOperator:
    """D = A F for fixed points and beams: fluence (beams, nv, nu) -> dose (n,), and A^T. Memory: 20 bytes a point and
    beam. Fluence is in the beam model's units (1 = open beam); dose is in Gy per calibrated unit (see calibrate)."""

    def __init__(
        self,
        model: BeamModel,
        raster: Raster,
        geometry: NDArray[np.float32],
        ssd_mm: tuple[float, ...],
        *,
        threads: int = THREADS,
    ) -> None:
        if geometry.ndim != 3 or geometry.shape[2] != _kernels.GEOMETRY:
            raise EngineError(f"geometry must be (beams, n, {_kernels.GEOMETRY}), got {geometry.shape}")
        self.raster, self.geometry, self.threads = raster, geometry, threads
        self._maps = KernelMaps(model, raster, ssd_mm, threads=threads)
        self._buffer = np.zeros((geometry.shape[0], raster.nv, raster.nu, _kernels.INTERLEAVE), np.float32)

    def forward(self, fluence: NDArray[np.float32]) -> NDArray[np.float32]:
        dose = np.empty(self.geometry.shape[1], np.float32)
        maps = self._maps.forward(fluence, self._buffer)
        r = self.raster
        _kernels.forward(maps, r.u0_mm, r.v0_mm, r.pitch_mm, self.geometry, dose, self.threads)
        return dose

    def adjoint(self, dose_gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        r = self.raster
        gradient = np.ascontiguousarray(dose_gradient, np.float32)
        _kernels.adjoint(gradient, self.geometry, r.u0_mm, r.v0_mm, r.pitch_mm, self._buffer, self.threads)
        return self._maps.adjoint(self._buffer)


def projected_extent(frames: Sequence[BeamFrame], points_mm: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """(u_min, u_max, v_min, v_max) over all beams of the points' projections, mm."""
    low, high = np.array([np.inf, np.inf]), -np.array([np.inf, np.inf])
    for frame in frames:
        u, v = frame.project(points_mm)
        low = np.minimum(low, [u.min(), v.min()])
        high = np.maximum(high, [u.max(), v.max()])
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


FluenceOnRaster = Callable[[Raster], NDArray[np.float32]]
"""Draws one beam's fluence on a raster, as (nv, nu)."""


class BeamDose:
    """One beam with a known fluence, ready to give its dose anywhere: for final doses on every voxel.

    points_extent_mm and field_extent_mm (u_min, u_max, v_min, v_max) bound the projections of the points that will be
    asked for and of the fluence."""

    def __init__(
        self,
        model: BeamModel,
        medium: Medium,
        frame: BeamFrame,
        fluence: FluenceOnRaster,
        *,
        points_extent_mm: tuple[float, float, float, float],
        field_extent_mm: tuple[float, float, float, float],
        pitch_mm: float = 1.0,
        threads: int = THREADS,
    ) -> None:
        reach = float(model.kernels[0].radius_mm[-1])
        self.model, self.frame, self.threads, self._medium = model, frame, threads, medium
        self.raster = raster_for(points_extent_mm, field_extent_mm, pitch_mm, reach_mm=reach)
        operator = KernelMaps(model, self.raster, (medium.ssd_mm(frame),), threads=threads)
        self.maps = operator.forward(fluence(self.raster)[None])
        """Kernel maps (1, nv, nu, 4) on the raster."""

    def depth_mm(self, points_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Radiological depth (n,) of LPS points (n, 3) along this beam."""
        return self._medium.depth_mm(self.frame, points_mm, threads=self.threads)

    def at(self, points_mm: NDArray[np.float32], depth_mm: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Dose (n,) at LPS points (n, 3); `depth_mm` if it is known already."""
        depth = self.depth_mm(points_mm) if depth_mm is None else depth_mm
        geometry = point_geometry(self.model, self.frame, points_mm, depth, threads=self.threads)
        dose = np.empty(len(points_mm), np.float32)
        r = self.raster
        _kernels.forward(self.maps, r.u0_mm, r.v0_mm, r.pitch_mm, geometry[None], dose, self.threads)
        return dose


def box_corners_mm(grid: Grid) -> NDArray[np.float64]:
    """The eight outer corners (8, 3) of a grid; a beam's projection of them bounds that of every voxel inside."""
    low = np.array(grid.origin_mm) - 0.5 * np.array(grid.spacing_mm)
    high = low + np.array(grid.spacing_mm) * np.array(grid.shape[::-1])
    return np.array(
        [[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
