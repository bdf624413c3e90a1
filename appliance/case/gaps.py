"""Slices on which a structure should be but has no contour.

Rule: where up to MOST_SLICES slices in a row are missing and the outlines on both sides lie over each other, the
structure goes on between them, and the missing slices get the shape on the way (`engines.contouring.interpolate`).
Outlines that do not lie over each other, and longer gaps, are separate parts of the structure and stay so. Both
are noted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.contouring.interpolate import between
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
    missing = range(below + 1, above)
    weights = [(index - below) / (above - below) for index in missing]
    parts = []
    for index, plane in zip(missing, between(first, second, weights, grid.spacing_mm[:2]), strict=True):
        part = VoxelSet.from_dense(plane)
        parts.append(VoxelSet(part.index + np.int32(index * grid.shape[1] * grid.shape[2]), part.fraction))
    return parts


def _plane(voxels: VoxelSet, grid: Grid, index: int) -> FloatArray:
    size = grid.shape[1] * grid.shape[2]
    first, last = np.searchsorted(voxels.index, np.array([index * size, (index + 1) * size], np.int32))
    plane = np.zeros(size, np.float32)
    plane[voxels.index[first:last] - index * size] = voxels.fraction[first:last]
    return plane.reshape(grid.shape[1:])
