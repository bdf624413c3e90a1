"""Values of one grid seen on another that is turned and shifted against it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from engines.grid import Grid, warped
from engines.registration.transform import RigidTransform


def moved(
    values_zyx: NDArray[np.generic], source: Grid, target: Grid, to_source: RigidTransform, *, outside: float
) -> NDArray[np.float32]:
    """Values given on `source` at the voxel centres of `target`, (z, y, x) float32.

    to_source takes points of the target's frame to the source's. Trilinear between voxel centres; a point beyond the
    outer border of the source gets `outside`, in the outer half of a border voxel its value holds on. Raises
    EngineError if the values are not on `source`."""
    return warped(values_zyx, source, target, to_source.matrix, outside=outside)


def sampled(
    values_zyx: NDArray[np.generic], source: Grid, points_mm: NDArray[np.floating], *, outside: float
) -> NDArray[np.float32]:
    """Values given on `source` at points (n, 3) of its own frame, (n,) float32; borders as in `moved`."""
    index = (points_mm - np.asarray(source.origin_mm)) / np.asarray(source.spacing_mm)
    last = np.asarray(source.shape[::-1]) - 1
    inside = np.all((index >= -0.5 - 1e-9) & (index <= last + 0.5 + 1e-9), axis=1)
    values = values_zyx.astype(np.float32, copy=False)
    found = map_coordinates(values, index.T[::-1], order=1, mode="nearest", output=np.float32)
    return np.where(inside, found, np.float32(outside))
