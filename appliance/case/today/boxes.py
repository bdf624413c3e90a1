"""The part of today's grid that a part of the reference can come to lie in."""

from __future__ import annotations

import numpy as np

from engines.grid import Grid, VoxelSet
from engines.registration import DisplacementField

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Lower and upper (beyond the last) index, (z, y, x)."""


def box_of(voxels: VoxelSet, grid: Grid, margin_voxels: int = 1) -> Box:
    """Around a region that is not empty."""
    index = np.stack(np.unravel_index(voxels.index, grid.shape))
    low = np.maximum(index.min(axis=1) - margin_voxels, 0)
    high = np.minimum(index.max(axis=1) + 1 + margin_voxels, np.asarray(grid.shape))
    return tuple(low.tolist()), tuple(high.tolist())


def bounds_mm(box: Box, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Outer borders (x, y, z) of a box."""
    low = np.asarray(grid.origin_mm) + (np.asarray(box[0])[::-1] - 0.5) * np.asarray(grid.spacing_mm)
    high = np.asarray(grid.origin_mm) + (np.asarray(box[1])[::-1] - 0.5) * np.asarray(grid.spacing_mm)
    return low, high


def box_today(field: DisplacementField, low_mm: np.ndarray, high_mm: np.ndarray, today: Grid) -> Box | None:
    """Of today's voxels whose points the field takes between low_mm and high_mm (x, y, z) of the reference's frame;
    None where it takes none there. Found on the field's own voxels, which are coarser, and widened by one of them."""
    inside = np.ones(field.grid.shape, np.bool_)
    for axis, along in enumerate(field.grid.axes_mm()):
        shape = [1, 1, 1]
        shape[2 - axis] = along.size
        there = field.displacement_mm[..., axis] + along.reshape(shape).astype(np.float32)
        step = field.grid.spacing_mm[axis]
        inside &= (there > low_mm[axis] - step) & (there < high_mm[axis] + step)
    if not inside.any():
        return None
    index = np.nonzero(inside)
    lower, upper = [0, 0, 0], [0, 0, 0]
    for axis in range(3):  # x, y, z
        own, step = index[2 - axis], field.grid.spacing_mm[axis]
        first = field.grid.origin_mm[axis] + (own.min() - 1) * step
        last = field.grid.origin_mm[axis] + (own.max() + 1) * step
        count, begin, pitch = today.shape[2 - axis], today.origin_mm[axis], today.spacing_mm[axis]
        lower[2 - axis] = int(np.clip(np.floor((first - begin) / pitch), 0, count))
        upper[2 - axis] = int(np.clip(np.ceil((last - begin) / pitch) + 1, 0, count))
    if any(low >= high for low, high in zip(lower, upper, strict=True)):
        return None
    return (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2])
