"""What changed between two regions on one grid: volume, place, overlap, surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.contouring.surface import surface_distances_mm
from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.overlap import dice

PERCENTILE = 95.0


@dataclass(frozen=True)
class RegionChange:
    """volumes with partial voxels; centroid_shift_mm: of the second region's centre against the first's, x, y, z in
    LPS. Distances between surface voxels (of at least half a voxel's share): mean_mm is the mean of both directions'
    means, p95_mm the larger of both directions' 95th percentile, max_mm the larger of both largest (Hausdorff). They
    tell voxels apart, not parts of voxels: a shift of less than half a voxel may show as none."""

    before_cc: float
    after_cc: float
    centroid_shift_mm: tuple[float, float, float]
    dice: float
    mean_mm: float
    p95_mm: float
    max_mm: float


def compare(before: VoxelSet, after: VoxelSet, grid: Grid) -> RegionChange:
    """Raises EngineError where one of the regions is empty or has no voxel that is half inside."""
    if before.empty or after.empty:
        raise EngineError("a region that is empty cannot be compared")
    parts, cut = _boxed(before, after, grid)
    centres = [_centroid_mm(part, cut) for part in parts]
    x, y, z = (centres[1] - centres[0]).tolist()
    forth, back = surface_distances_mm(parts[0] >= 0.5, parts[1] >= 0.5, cut.spacing_mm[::-1])
    return RegionChange(
        before_cc=before.volume_cc(grid.voxel_volume_cc),
        after_cc=after.volume_cc(grid.voxel_volume_cc),
        centroid_shift_mm=(x, y, z),
        dice=dice(*parts),
        mean_mm=float((forth.mean() + back.mean()) / 2),
        p95_mm=float(max(np.percentile(forth, PERCENTILE), np.percentile(back, PERCENTILE))),
        max_mm=float(max(forth.max(), back.max())),
    )


def _boxed(
    before: VoxelSet, after: VoxelSet, grid: Grid
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], Grid]:
    """Both as fractions in the smallest box that holds them, and that box as a grid."""
    (low, high), (other_low, other_high) = before.box(grid.shape), after.box(grid.shape)
    low = (min(low[0], other_low[0]), min(low[1], other_low[1]), min(low[2], other_low[2]))
    high = (max(high[0], other_high[0]), max(high[1], other_high[1]), max(high[2], other_high[2]))
    parts = before.dense_in((low, high), grid.shape), after.dense_in((low, high), grid.shape)
    return parts, grid.cropped(low, high)


def _centroid_mm(part: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    """Centre of mass x, y, z of fractions on their grid."""
    x_mm, y_mm, z_mm = grid.axes_mm()
    zx, zy = part.sum(axis=1, dtype=np.float64), part.sum(axis=2, dtype=np.float64)
    centre = np.array([zx.sum(axis=0) @ x_mm, zy.sum(axis=0) @ y_mm, zx.sum(axis=1) @ z_mm], np.float64)
    return np.asarray(centre / zx.sum(), np.float64)
