"""Values and regions of one grid seen on another that is turned and shifted against it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.registration.transform import RigidTransform


def moved(
    values_zyx: NDArray[np.generic], source: Grid, target: Grid, to_source: RigidTransform, *, outside: float
) -> NDArray[np.float32]:
    """Values given on `source` at the voxel centres of `target`, (z, y, x) float32.

    to_source takes points of the target's frame to the source's. Trilinear between voxel centres; a point beyond the
    outer border of the source gets `outside`, in the outer half of a border voxel its value holds on. Works slice by
    slice. Raises EngineError if the values are not on `source`."""
    if values_zyx.shape != source.shape:
        raise EngineError(f"values of shape {values_zyx.shape} are not on a grid of shape {source.shape}")
    values = values_zyx.astype(np.float32, copy=False)
    step = np.asarray(source.spacing_mm)
    rotation, shift = to_source.matrix[:3, :3], to_source.matrix[:3, 3]
    x_mm, y_mm, z_mm = target.axes_mm()
    # Index of the source along x, y, z is linear in the target's coordinates, so three small tables add up to it.
    along_x = rotation[:, 0, None] * x_mm / step[:, None]
    along_y = rotation[:, 1, None] * y_mm / step[:, None]
    start = (shift - np.asarray(source.origin_mm)) / step
    last = np.asarray(source.shape[::-1]) - 1
    out = np.empty(target.shape, np.float32)
    for plane, height_mm in enumerate(z_mm):
        base = start + rotation[:, 2] * height_mm / step
        index = along_x[:, None, :] + along_y[:, :, None] + base[:, None, None]
        inside = np.all((index >= -0.5 - 1e-9) & (index <= last[:, None, None] + 0.5 + 1e-9), axis=0)
        if not inside.any():
            out[plane] = outside
            continue
        sampled = map_coordinates(values, index[::-1], order=1, mode="nearest", output=np.float32)
        out[plane] = np.where(inside, sampled, np.float32(outside))
    return out


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


def moved_voxels(voxels: VoxelSet, source: Grid, target: Grid, to_source: RigidTransform) -> VoxelSet:
    """The same region on `target`; fractions below 1 % are dropped."""
    dense = moved(voxels.dense(source.shape), source, target, to_source, outside=0.0)
    dense[dense < 0.01] = 0.0
    return VoxelSet.from_dense(dense)
