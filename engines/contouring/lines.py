"""Lines of one value on a plane, and closed loops with fewer points."""

from __future__ import annotations

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def level_loops(
    x_mm: NDArray[np.floating], y_mm: NDArray[np.floating], field: NDArray[np.floating], level: float
) -> list[FloatArray]:
    """Closed loops (n, 2) of x, y in mm where `field` (y, x), linear between its points, passes `level` (marching
    squares). The first point is not repeated. field: must be on one side of the level all along its border."""
    lines = contour_generator(x_mm, y_mm, field, line_type=LineType.Separate).lines(level)
    return [np.asarray(line, np.float64)[:-1] for line in lines if len(line) > 3]


def thin(loop_mm: FloatArray, tolerance_mm: float) -> FloatArray:
    """A closed loop (n, 2) with fewer of its points, none left out further than tolerance_mm from the new outline.

    Splits at the farthest points until all are close enough (Ramer 1972; Douglas and Peucker 1973), starting from the
    first point and the one farthest from it."""
    points = loop_mm[:, 0] + 1j * loop_mm[:, 1]
    count = len(points)
    closed = np.append(points, points[0])
    far = int(np.argmax(np.abs(points - points[0])))
    kept = np.array([0, far, count] if far else [0, count])
    while True:
        span = np.repeat(np.arange(kept.size - 1), np.diff(kept))
        distance = _distance_to_segment(points, closed[kept[:-1]][span], closed[kept[1:]][span])
        furthest = np.maximum.reduceat(distance, kept[:-1])
        split = np.flatnonzero(furthest > tolerance_mm)
        if split.size == 0:
            return np.asarray(loop_mm[kept[:-1]], np.float64)
        # the first point of each span that is as far away as any of it
        at = np.flatnonzero(distance == furthest[span])
        kept = np.sort(np.append(kept, at[np.searchsorted(span[at], split)]))


def _distance_to_segment(
    points: NDArray[np.complex128], start: NDArray[np.complex128], end: NDArray[np.complex128]
) -> FloatArray:
    """Of each point to its own segment, in the complex plane, turned so that this lies on the real axis from 0."""
    length = np.abs(end - start)
    turned = (points - start) * (np.conj(end - start) / np.where(length > 0, length, 1.0))
    beyond = turned.real - np.clip(turned.real, 0.0, length)
    return np.asarray(np.where(length > 0, np.hypot(turned.imag, beyond), np.abs(points - start)))


def resampled(loop_mm: FloatArray, step_mm: float) -> FloatArray:
    """Points (n, 2) along a closed loop, evenly spaced by no more than step_mm, at least three."""
    closed = np.vstack([loop_mm, loop_mm[:1]])
    way_mm = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    count = max(3, int(np.ceil(way_mm[-1] / step_mm)))
    at_mm = np.linspace(0.0, way_mm[-1], count, endpoint=False)
    return np.column_stack([np.interp(at_mm, way_mm, closed[:, axis]) for axis in (0, 1)])
