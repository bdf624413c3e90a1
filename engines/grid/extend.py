"""A grid made larger by whole voxels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engines.grid.grid import Grid
from engines.grid.voxels import VoxelSet

Point = tuple[float, float, float]

TOLERANCE_VOXELS = 1e-3
"""A border passed by less than this part of a voxel is met (chosen: rounding)."""


def extended_grid(grid: Grid, lower_mm: Point, upper_mm: Point) -> Grid:
    """`grid` with as many voxels more at each end as its outer borders need to enclose the box from lower_mm to
    upper_mm (x, y, z); voxels that were there stay where they are. No end moves inwards."""
    origin, counts = [], []
    for axis in range(3):
        step, start, count = grid.spacing_mm[axis], grid.origin_mm[axis], grid.shape[2 - axis]
        before = math.ceil((start - step / 2 - lower_mm[axis]) / step - TOLERANCE_VOXELS)
        after = math.ceil((upper_mm[axis] - start - step * (count - 0.5)) / step - TOLERANCE_VOXELS)
        origin.append(start - max(0, before) * step)
        counts.append(count + max(0, before) + max(0, after))
    return Grid((origin[0], origin[1], origin[2]), grid.spacing_mm, (counts[2], counts[1], counts[0]))


def placed(values_zyx: NDArray[np.generic], grid: Grid, larger: Grid, *, outside: float) -> NDArray[np.generic]:
    """Values (z, y, x) given on `grid` in an array of `larger`, which `extended_grid` made of it, `outside` elsewhere;
    same type."""
    out = np.full(larger.shape, outside, values_zyx.dtype)
    out[box_within(grid, larger)] = values_zyx
    return out


def voxels_placed(voxels: VoxelSet, grid: Grid, larger: Grid) -> VoxelSet:
    """A region of `grid` as one of `larger`, which `extended_grid` made of it."""
    start = [part.start for part in box_within(grid, larger)]
    index = [at + first for at, first in zip(np.unravel_index(voxels.index, grid.shape), start, strict=True)]
    return VoxelSet(np.ravel_multi_index(index, larger.shape).astype(np.int32), voxels.fraction)


def voxels_taken(voxels: VoxelSet, larger: Grid, grid: Grid) -> VoxelSet:
    """The part of a region of `larger` that lies in `grid`, as one of `grid`."""
    box = box_within(grid, larger)
    index = np.stack(np.unravel_index(voxels.index, larger.shape)) - np.array([[part.start] for part in box])
    inside = np.all((index >= 0) & (index < np.array(grid.shape)[:, None]), axis=0)
    return VoxelSet(np.ravel_multi_index(tuple(index[:, inside]), grid.shape).astype(np.int32), voxels.fraction[inside])


def box_within(grid: Grid, larger: Grid) -> tuple[slice, slice, slice]:
    """Where `grid` lies in `larger`, as slices (z, y, x)."""
    starts = [round((grid.origin_mm[axis] - larger.origin_mm[axis]) / grid.spacing_mm[axis]) for axis in (2, 1, 0)]
    z, y, x = (slice(start, start + count) for start, count in zip(starts, grid.shape, strict=True))
    return z, y, x
