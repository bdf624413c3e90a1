"""Values of one grid read at the voxel centres of another, through a linear map and a displacement field, and averaged
over blocks: compiled, one thread a few rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import _warp
from engines.grid.grid import Grid

Read = NDArray[np.float32] | NDArray[np.int16] | NDArray[np.bool_]

_READ_AS_THEY_ARE = (np.dtype(np.float32), np.dtype(np.int16), np.dtype(np.bool_))


def warped(
    values_zyx: NDArray[np.generic],
    source: Grid,
    target: Grid,
    to_source: NDArray[np.float64],
    *,
    outside: float,
    displaced: tuple[NDArray[np.float32], Grid] | None = None,
) -> NDArray[np.float32]:
    """Values (z, y, x) given on `source` at the voxel centres of `target`, float32.

    to_source: (4, 4), takes points x of the target's frame in mm to the source's. displaced: displacements u (z, y, x,
    3) in mm and the grid that they are on, added in the source's frame: to_source x + u(x). They are trilinear between
    centres, and beyond the outermost centres the border's value holds on.

    Trilinear between the source's voxel centres; in the outer half of a border voxel its value holds on, a point
    beyond it gets `outside`. Rounding may put a point on the border up to 1e-4 of a voxel off. Raises EngineError if
    the values or displacements are not on their grids."""
    if values_zyx.shape != source.shape:
        raise EngineError(f"values of shape {values_zyx.shape} are not on a grid of shape {source.shape}")
    steps, origin = np.asarray(source.spacing_mm), np.asarray(source.origin_mm)
    turn, shift = to_source[:3, :3], to_source[:3, 3]
    matrix = np.empty((3, 4))
    matrix[:, :3] = turn * np.asarray(target.spacing_mm) / steps[:, None]
    matrix[:, 3] = (turn @ np.asarray(target.origin_mm) + shift - origin) / steps
    field, first, step = None, np.zeros(3), np.zeros(3)
    if displaced is not None:
        field, grid = np.ascontiguousarray(displaced[0], np.float32), displaced[1]
        if field.shape != (*grid.shape, 3):
            raise EngineError(f"a field of {field.shape} is not on a grid of {grid.shape}")
        first = (np.asarray(target.origin_mm) - np.asarray(grid.origin_mm)) / np.asarray(grid.spacing_mm)
        step = np.asarray(target.spacing_mm) / np.asarray(grid.spacing_mm)
    out = np.empty(target.shape, np.float32)
    places = (_three(first), _three(step), _three(1.0 / steps))
    flat = matrix.ravel().tolist()
    _warp.warped(_readable(values_zyx), flat, field, *places, outside, out, _warp.max_threads())
    return out


def block_means(
    values_zyx: NDArray[np.generic], count_zyx: tuple[int, int, int], limits: tuple[float, float]
) -> NDArray[np.float32]:
    """Means (z, y, x) of blocks of so many voxels of the values cut to `limits`; NaN where a block holds one. What is
    left over at an end is left out."""
    nz, ny, nx = (size // count for size, count in zip(values_zyx.shape, count_zyx, strict=True))
    out = np.empty((nz, ny, nx), np.float32)
    cz, cy, cx = count_zyx
    _warp.block_means(_readable(values_zyx), (cx, cy, cz), *limits, out, _warp.max_threads())
    return out


def _readable(values: NDArray[np.generic]) -> Read:
    """Without a copy where it can be."""
    kind = values.dtype if values.dtype in _READ_AS_THEY_ARE else np.dtype(np.float32)
    return np.ascontiguousarray(values, kind)


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
