"""Small media and fields that several photon tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.photon.beam_model import BeamModel
from engines.photon.dose import BeamDose, FluenceOnRaster, Medium, box_corners_mm, projected_extent
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster

Densities = NDArray[np.float32]


def centred_grid(count: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
    """Grid of (nx, ny, nz) voxels whose middle is the LPS origin."""
    x, y, z = (-(n - 1) * s / 2 for n, s in zip(count, spacing_mm, strict=True))
    return Grid((x, y, z), spacing_mm, (count[2], count[1], count[0]))


def water(grid: Grid, density: float = 1.0) -> Medium:
    return Medium(grid, np.full(grid.shape, density, np.float32))


def rectangle(u_mm: tuple[float, float], v_mm: tuple[float, float]) -> FluenceOnRaster:
    """Open rectangle on the isocentre plane, exact pixel coverage."""

    def draw(raster: Raster) -> NDArray[np.float32]:
        along_v = raster.coverage("v", np.array([v_mm[0]]), np.array([v_mm[1]]))
        along_u = raster.coverage("u", np.array([u_mm[0]]), np.array([u_mm[1]]))
        return np.asarray(along_v.T @ along_u, np.float32)

    return draw


def field_dose(
    model: BeamModel,
    medium: Medium,
    frame: BeamFrame,
    u_mm: tuple[float, float],
    v_mm: tuple[float, float],
    *,
    pitch_mm: float = 2.5,
    shape: Callable[[Raster], NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Dose (z, y, x) per unit fluence of one rectangular field on the medium's own grid."""
    engine = BeamDose(
        model,
        medium,
        frame,
        shape or rectangle(u_mm, v_mm),
        points_extent_mm=projected_extent([frame], box_corners_mm(medium.grid)),
        field_extent_mm=(*u_mm, *v_mm),
        pitch_mm=pitch_mm,
    )
    return engine.at(medium.grid.centres_mm(np.arange(medium.grid.size))).reshape(medium.grid.shape)
