"""The one voxel grid used everywhere inside: axis-aligned, DICOM patient LPS, millimetres, arrays (z, y, x)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

SPACING_TOLERANCE_MM = 1e-3
"""Two grids whose origins and spacings differ by less are the same grid (chosen: DICOM decimal strings round here)."""


@dataclass(frozen=True)
class Grid:
    """Axis-aligned grid in DICOM patient LPS.

    origin_mm: centre of voxel [0, 0, 0] as (x, y, z). spacing_mm: (x, y, z), all positive, so that indices grow
    towards patient left, posterior and superior whatever the patient position was. shape: (nz, ny, nx).
    Raises EngineError for a non-positive spacing or an empty shape.
    """

    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        if min(self.spacing_mm) <= 0 or not np.all(np.isfinite(self.spacing_mm + self.origin_mm)):
            raise EngineError(f"grid spacing must be positive and finite, got {self.spacing_mm}")
        if min(self.shape) < 1:
            raise EngineError(f"grid must hold at least one voxel, got shape {self.shape}")

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def voxel_volume_cc(self) -> float:
        dx, dy, dz = self.spacing_mm
        return dx * dy * dz / 1000.0

    def axes_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Voxel-centre coordinates (x_mm, y_mm, z_mm), one 1-D array each."""
        nz, ny, nx = self.shape
        index = (np.arange(n, dtype=np.float64) for n in (nx, ny, nz))
        x_mm, y_mm, z_mm = (
            start + step * i for start, step, i in zip(self.origin_mm, self.spacing_mm, index, strict=True)
        )
        return x_mm, y_mm, z_mm

    def centres_mm(self, flat_index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Voxel centres (n, 3) as x, y, z for flat C-order indices (n,)."""
        iz, iy, ix = np.unravel_index(flat_index, self.shape)
        index_xyz = np.stack([ix, iy, iz], axis=1).astype(np.float32)
        return index_xyz * np.asarray(self.spacing_mm, np.float32) + np.asarray(self.origin_mm, np.float32)

    def cropped(self, lower_zyx: tuple[int, int, int], upper_zyx: tuple[int, int, int]) -> Grid:
        """The sub-grid of voxels lower <= index < upper (z, y, x)."""
        x0, y0, z0 = (self.origin_mm[axis] + self.spacing_mm[axis] * lower_zyx[2 - axis] for axis in range(3))
        nz, ny, nx = (int(high - low) for low, high in zip(lower_zyx, upper_zyx, strict=True))
        return Grid((x0, y0, z0), self.spacing_mm, (nz, ny, nx))

    def same_as(self, other: Grid) -> bool:
        return self.shape == other.shape and bool(
            np.allclose(self.origin_mm, other.origin_mm, atol=SPACING_TOLERANCE_MM)
            and np.allclose(self.spacing_mm, other.spacing_mm, atol=SPACING_TOLERANCE_MM)
        )
