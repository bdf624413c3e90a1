"""Trilinear resampling between two axis-aligned grids of the same frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid.grid import Grid


def resample(
    values_zyx: NDArray[np.generic], source: Grid, target: Grid, *, outside: float = 0.0
) -> NDArray[np.float32]:
    """Values (z, y, x) given on `source`, at the voxel centres of `target`; float32.

    Trilinear between voxel centres, exact for values linear in x, y and z. In the outer half of the source's border
    voxels the border value holds on; a centre beyond the border voxels gets `outside`. An axis with one voxel is
    constant along that voxel. Works slice by slice: beyond the result it needs a few slices of memory. Raises
    EngineError if the values are not on `source`.
    """
    if values_zyx.shape != source.shape:
        raise EngineError(f"values of shape {values_zyx.shape} are not on a grid of shape {source.shape}")
    if source.same_as(target):
        return values_zyx.astype(np.float32)
    out = np.full(target.shape, outside, np.float32)
    x, y, z = (_weights(source, target, axis) for axis in range(3))
    rows, columns = np.flatnonzero(y[2]), np.flatnonzero(x[2])
    if rows.size == 0 or columns.size == 0:
        return out
    row_slice, column_slice = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    y_low, y_part = y[0][row_slice], y[1][row_slice, None]
    x_low, x_part = x[0][column_slice], x[1][None, column_slice]
    y_high = np.minimum(y_low + 1, source.shape[1] - 1)
    x_high = np.minimum(x_low + 1, source.shape[2] - 1)
    for index in np.flatnonzero(z[2]):
        low = int(z[0][index])
        plane = _mix(values_zyx[low], values_zyx[min(low + 1, source.shape[0] - 1)], z[1][index])
        plane = _mix(plane[y_low], plane[y_high], y_part)
        out[index, row_slice, column_slice] = _mix(plane[:, x_low], plane[:, x_high], x_part)
    return out


def _mix(
    low: NDArray[np.generic], high: NDArray[np.generic], part: NDArray[np.float32] | np.float32
) -> NDArray[np.float32]:
    first = low.astype(np.float32)
    mixed: NDArray[np.float32] = first + part * (high.astype(np.float32) - first)
    return mixed


def _weights(source: Grid, target: Grid, axis: int) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
    """Along x (0), y (1) or z (2): lower source index, part of the next one, and whether the source reaches there."""
    count = source.shape[2 - axis]
    position = (target.axes_mm()[axis] - source.origin_mm[axis]) / source.spacing_mm[axis]
    # A border is met exactly in common nestings (3 mm on 1 mm voxels); rounding must not decide there.
    inside = (position >= -0.5 - 1e-9) & (position <= count - 0.5 + 1e-9)
    clamped = np.clip(position, 0, count - 1)
    low = np.minimum(clamped.astype(np.intp), max(count - 2, 0))
    return low, (clamped - low).astype(np.float32), inside
