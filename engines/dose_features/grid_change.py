"""From an image's grid to one of larger voxels and back, fast enough for images of 40 million voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.dose_features import _dose_features as kernels
from engines.grid import Grid, VoxelSet

Blocks = tuple[int, int, int]
Axis = tuple[NDArray[np.int32], NDArray[np.float32]]


def pooled_shape(shape: tuple[int, int, int], blocks: Blocks) -> tuple[int, int, int]:
    """Blocks (z, y, x) of voxels along each axis, the last one whole or not."""
    nz, ny, nx = (-(-side // block) for side, block in zip(shape, blocks, strict=True))
    return nz, ny, nx


def pooled_region(voxels: VoxelSet, shape: tuple[int, int, int], blocks: Blocks) -> NDArray[np.float32]:
    """(z, y, x): share of each block of a grid of this shape that a region on the grid fills."""
    out = np.zeros(pooled_shape(shape, blocks), np.float32)
    index, fraction = np.ascontiguousarray(voxels.index, np.int32), np.ascontiguousarray(voxels.fraction, np.float32)
    kernels.pool_region(index, fraction, shape, blocks, out)
    return out


def pooled_image(values: NDArray[np.int16], blocks: Blocks) -> NDArray[np.float32]:
    """(z, y, x): mean of each block of an image."""
    nz, ny, nx = values.shape
    out = np.empty(pooled_shape((nz, ny, nx), blocks), np.float32)
    kernels.pool_image(np.ascontiguousarray(values, np.int16), blocks, out, kernels.max_threads())
    return out


def refined(volume: NDArray[np.floating], inside: NDArray[np.bool_], source: Grid, target: Grid) -> NDArray[np.float32]:
    """A volume on `source`, meant where `inside`, at the voxel centres of `target`: trilinear between voxels that are
    inside, 0 where they make up less than half of the eight around. As engines.grid.resample, border voxels reach half
    a voxel outwards."""
    low, part = zip(*(_places(source, target, axis) for axis in (2, 1, 0)), strict=True)
    out = np.empty(target.shape, np.float32)
    values, mask = np.ascontiguousarray(volume, np.float32), np.ascontiguousarray(inside).view(np.uint8)
    kernels.refine(values, mask, low, part, out, kernels.max_threads())
    return out


def _places(source: Grid, target: Grid, axis: int) -> Axis:
    """Along x (0), y (1) or z (2): lower source index, -1 where the source does not reach, and part of the next one."""
    count = source.shape[2 - axis]
    position = (target.axes_mm()[axis] - source.origin_mm[axis]) / source.spacing_mm[axis]
    inside = (position >= -0.5 - 1e-9) & (position <= count - 0.5 + 1e-9)
    clamped = np.clip(position, 0, count - 1)
    low = np.minimum(clamped.astype(np.int32), max(count - 2, 0))
    return np.where(inside, low, -1).astype(np.int32), (clamped - low).astype(np.float32)
