"""The lowest and highest value that a point may have where its place is known to within a distance."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.registration.moving import sampled

Values = NDArray[np.float32]

DIRECTIONS = tuple(
    np.array(step, np.float64) / np.linalg.norm(step) for step in product((-1, 0, 1), repeat=3) if any(step)
)
"""26 ways from a voxel to its neighbours. The value is read there at the distance asked for, between voxels too, so
that a band does not hang on the size of voxels; in a constant gradient it is short by 11 % at most."""


def lowest_and_highest(
    values_zyx: NDArray[np.floating], grid: Grid, points_mm: NDArray[np.float64], distances_mm: tuple[float, ...]
) -> tuple[Values, Values]:
    """Lowest and highest (n,) of values given on `grid`, at points (n, 3) and at each of the distances from them; 0
    beyond the grid and never below it."""
    lowest = at(values_zyx, grid, points_mm)
    highest = lowest.copy()
    for distance_mm in distances_mm:
        for direction in DIRECTIONS:
            nearby = at(values_zyx, grid, points_mm + distance_mm * direction)
            np.minimum(lowest, nearby, out=lowest)
            np.maximum(highest, nearby, out=highest)
    return lowest, highest


def at(values_zyx: NDArray[np.floating], grid: Grid, points_mm: NDArray[np.float64]) -> Values:
    """Values at points (n, 3); 0 beyond the grid and never below it."""
    return np.maximum(sampled(values_zyx, grid, points_mm, outside=0.0), np.float32(0))
