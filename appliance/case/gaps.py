"""Slices on which a structure should be but has no contour.

Rule: where up to MOST_SLICES slices in a row are missing and the outlines on both sides lie over each other, the
structure goes on between them, and the missing slices get the shape half way: signed distances to the two outlines,
mixed linearly, and what is inside is inside (shape-based interpolation: Raya and Udupa, IEEE Trans Med Imaging 9:32,
1990). Outlines that do not lie over each other, and longer gaps, are separate parts of the structure and stay so. Both
are noted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.grid import Grid, VoxelSet

MOST_SLICES = 3
"""Longest gap that is filled; chosen, because contouring every second to fourth slice is common practice and a longer
gap is more likely meant."""

LEAST_OVERLAP = 0.5
"""Share of the smaller outline that the other one must cover for both to be one part; chosen."""

FloatArray = NDArray[np.float32]


def fill_gaps(voxels: VoxelSet, grid: Grid) -> tuple[VoxelSet, int, int]:
    """(voxels with gaps filled, slices filled, gaps left open)."""
    size = grid.shape[1] * grid.shape[2]
    slices = np.unique(voxels.index // size)
    filled: list[VoxelSet] = []
    left_open = 0
    for position in np.flatnonzero(np.diff(slices) > 1):
        below, above = int(slices[position]), int(slices[position + 1])
        between = _between(voxels, grid, below, above) if above - below - 1 <= MOST_SLICES else []
        filled.extend(between)
        left_open += not between
    if filled:
        index = np.concatenate([voxels.index, *(part.index for part in filled)])
        fraction = np.concatenate([voxels.fraction, *(part.fraction for part in filled)])
        order = np.argsort(index, kind="stable")
        voxels = VoxelSet(index[order], fraction[order])
    return voxels, len(filled), left_open


def _between(voxels: VoxelSet, grid: Grid, below: int, above: int) -> list[VoxelSet]:
    """The missing slices between two that are there, none if these do not lie over each other."""
    first, second = _plane(voxels, grid, below), _plane(voxels, grid, above)
    if np.minimum(first, second).sum() < LEAST_OVERLAP * min(first.sum(), second.sum()):
        return []
    rows, columns = (np.flatnonzero(np.any((first > 0) | (second > 0), axis=axis)) for axis in (1, 0))
    # One pixel of margin, so that the outside has a distance too; planes are padded for outlines at the border.
    box = (slice(rows[0], rows[-1] + 3), slice(columns[0], columns[-1] + 3))
    distances = [_signed_distance(np.pad(plane, 1)[box], grid) for plane in (first, second)]
    pixel_mm = (grid.spacing_mm[0] + grid.spacing_mm[1]) / 2
    parts = []
    for index in range(below + 1, above):
        weight = (index - below) / (above - below)
        mixed = (1 - weight) * distances[0] + weight * distances[1]
        plane = np.zeros((grid.shape[1] + 2, grid.shape[2] + 2), np.float32)
        plane[box] = np.clip(0.5 + mixed / pixel_mm, 0.0, 1.0)
        part = VoxelSet.from_dense(plane[1:-1, 1:-1])
        parts.append(VoxelSet(part.index + np.int32(index * grid.shape[1] * grid.shape[2]), part.fraction))
    return parts


def _plane(voxels: VoxelSet, grid: Grid, index: int) -> FloatArray:
    size = grid.shape[1] * grid.shape[2]
    first, last = np.searchsorted(voxels.index, [index * size, (index + 1) * size])
    plane = np.zeros(size, np.float32)
    plane[voxels.index[first:last] - index * size] = voxels.fraction[first:last]
    return plane.reshape(grid.shape[1:])


def _signed_distance(plane: FloatArray, grid: Grid) -> NDArray[np.float64]:
    """mm to the outline, positive inside. The outline runs half a pixel beyond the centre of the last pixel inside."""
    inside = plane >= 0.5
    if not inside.any():  # thinner than half a pixel everywhere
        inside = plane >= plane.max()
    sampling = (grid.spacing_mm[1], grid.spacing_mm[0])
    half = (sampling[0] + sampling[1]) / 4
    within = ndimage.distance_transform_edt(inside, sampling=sampling)
    beyond = ndimage.distance_transform_edt(~inside, sampling=sampling)
    signed: NDArray[np.float64] = np.where(inside, within - half, half - beyond)
    return signed
