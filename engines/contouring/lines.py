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

    Splits at the farthest point until all are close enough (Ramer 1972; Douglas and Peucker 1973), starting from the
    first point and the one farthest from it."""
    points = loop_mm[:, 0] + 1j * loop_mm[:, 1]
    count = len(points)
    far = int(np.argmax(np.abs(points - points[0])))
    closed = np.append(points, points[0])
    keep = {0, far}
    open_spans = [(0, far), (far, count)]
    while open_spans:
        start, end = open_spans.pop()
        if end - start < 2:
            continue
        distance = _distance_to_segment(closed[start + 1 : end], closed[start], closed[end])
        split = int(distance.argmax())
        if distance[split] > tolerance_mm:
            middle = start + 1 + split
            keep.add(middle)
            open_spans += [(start, middle), (middle, end)]
    return loop_mm[sorted(keep)]


def _distance_to_segment(
    points: NDArray[np.complex128], start: np.complex128, end: np.complex128
) -> NDArray[np.float64]:
    """Distances in the complex plane, turned so that the segment lies on the real axis from 0."""
    length = abs(end - start)
    if length == 0.0:
        return np.abs(points - start)
    turned = (points - start) * (np.conj(end - start) / length)
    beyond = turned.real - np.clip(turned.real, 0.0, length)
    return np.asarray(np.hypot(turned.imag, beyond))
