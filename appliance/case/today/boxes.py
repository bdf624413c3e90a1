"""The part of today's grid that a part of the reference can come to lie in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.grid.voxels import Box
from engines.registration import DisplacementField


def widened(box: Box, grid: Grid, voxels: int = 1) -> Box:
    """With a margin, within the grid."""
    low = tuple(max(0, first - voxels) for first in box[0])
    high = tuple(min(count, last + voxels) for last, count in zip(box[1], grid.shape, strict=True))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def box_today(field: DisplacementField, box: Box, reference: Grid, today: Grid) -> Box | None:
    """Of today's voxels whose points the field takes into a box of the reference; None where it takes none there.

    Found on the field's own voxels, which are coarser, and widened by one of them."""
    low_mm, high_mm = _borders_mm(box, reference)
    inside = np.ones(field.grid.shape, np.bool_)
    for axis, along_mm in enumerate(field.grid.axes_mm()):
        shape = [1, 1, 1]
        shape[2 - axis] = along_mm.size
        there_mm = field.displacement_mm[..., axis] + along_mm.reshape(shape).astype(np.float32)
        step = field.grid.spacing_mm[axis]
        inside &= (there_mm > low_mm[axis] - step) & (there_mm < high_mm[axis] + step)
    index = np.nonzero(inside)
    if index[0].size == 0:
        return None
    lower, upper = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        own, step, start = index[2 - axis], field.grid.spacing_mm[axis], field.grid.origin_mm[axis]
        count, begin, pitch = today.shape[2 - axis], today.origin_mm[axis], today.spacing_mm[axis]
        first, last = start + (own.min() - 1) * step, start + (own.max() + 1) * step
        lower[2 - axis] = int(np.clip(np.floor((first - begin) / pitch), 0, count))
        upper[2 - axis] = int(np.clip(np.ceil((last - begin) / pitch) + 1, 0, count))
    if any(low >= high for low, high in zip(lower, upper, strict=True)):
        return None
    return (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2])


def _borders_mm(box: Box, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outer borders (x, y, z)."""
    spacing, origin = np.asarray(grid.spacing_mm), np.asarray(grid.origin_mm)
    low, high = (origin + (np.asarray(corner[::-1]) - 0.5) * spacing for corner in box)
    return low, high
