"""Points that stand for the surface of a contoured solid, and for a flat slab."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Array = NDArray[np.float64]
LONGEST_EDGE_MM = 10.0
"""Longer edges get points in between (chosen: a point is then within 5 mm of any place of an edge)."""


def outline_points(loops: Sequence[tuple[float, Array]], slab_mm: float) -> Array:
    """(n, 3) points in LPS of closed planar loops, each (z_mm, (k, 2) of x, y). The loops of the two end planes are
    drawn once more half a slab further out, where the solid ends (as in `rasterise`). Raises EngineError without a
    loop."""
    if not loops:
        raise EngineError("a solid without contours has no outline")
    planes = [(z_mm, _dense(points)) for z_mm, points in loops]
    low, high = min(z for z, _ in planes), max(z for z, _ in planes)
    ends = [(z - slab_mm / 2, points) for z, points in planes if z == low]
    ends += [(z + slab_mm / 2, points) for z, points in planes if z == high]
    every = [*planes, *ends]
    z = np.repeat([z_mm for z_mm, _ in every], [len(points) for _, points in every])
    return np.column_stack([np.concatenate([points for _, points in every]), z])


def _dense(points: Array) -> Array:
    """A closed loop (k, 2) with points added on its long edges."""
    points = np.asarray(points, np.float64)
    step = np.roll(points, -1, axis=0) - points
    counts = np.maximum(np.ceil(np.hypot(step[:, 0], step[:, 1]) / LONGEST_EDGE_MM).astype(np.int64), 1)
    if counts.max() == 1:
        return points
    edge = np.repeat(np.arange(len(points)), counts)
    within = np.arange(edge.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(points[edge] + (within / counts[edge])[:, None] * step[edge])


def box_points(lower_mm: Sequence[float], upper_mm: Sequence[float], step_mm: float = 20.0) -> Array:
    """(n, 3) points on the surface of a box, at most step_mm apart, corners and edges among them. Raises EngineError
    for a box without extent."""
    lower, upper = np.asarray(lower_mm, np.float64), np.asarray(upper_mm, np.float64)
    if not np.all(upper > lower) or not step_mm > 0:
        raise EngineError("a box needs a positive size along each axis")
    ticks = [
        np.linspace(a, b, int(np.ceil((b - a) / step_mm)) + 1)
        for a, b in zip(lower.tolist(), upper.tolist(), strict=True)
    ]
    grid = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    on_surface = np.any((grid == lower) | (grid == upper), axis=1)
    return np.asarray(grid[on_surface])
