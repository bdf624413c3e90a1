"""Solids as signed distances, so that growing, shrinking and deforming them needs no voxels and loses nothing.

A field gives the signed distance in mm at points in patient LPS (negative inside). Combined solids keep the sign exact
everywhere and the distance exact beside a single face; near an edge where faces meet, growing and shrinking keep the
edge sharp (mitred) instead of rounding it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Point = tuple[float, float, float]
Field = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

UNBOUNDED_MM = 1e4
"""Half extent given to a solid that has no end in some direction; always intersected before it is drawn."""

NEWTON_STEPS = 12
"""Most steps for the distance to an ellipsoid; the solids drawn here use 4 to 8. Chosen with room to spare."""

NEWTON_TOLERANCE_MM2 = 0.01
"""The root is found once no point's t moves by more. Chosen, because that is under 0.001 mm of distance for the
smallest half axis drawn, 11 mm."""

DEEP = 0.25
"""Points with Σ (p_i / r_i)² below this lie so deep inside that only their sign is read; they are not waited for."""


@dataclass(frozen=True, eq=False)
class Solid:
    """`field(x_mm, y_mm, z_mm)` takes arrays that broadcast together. lower_mm, upper_mm (x, y, z): a box around it."""

    field: Field
    lower_mm: Point
    upper_mm: Point

    def __and__(self, other: Solid) -> Solid:
        lower = _pointwise(max, self.lower_mm, other.lower_mm)
        return Solid(
            lambda x, y, z: np.maximum(self.field(x, y, z), other.field(x, y, z)),
            lower,
            _pointwise(min, self.upper_mm, other.upper_mm),
        )

    def minus(self, other: Solid) -> Solid:
        return Solid(
            lambda x, y, z: np.maximum(self.field(x, y, z), -other.field(x, y, z)), self.lower_mm, self.upper_mm
        )

    def grown(self, margin_mm: float) -> Solid:
        """Every face moved outwards by margin_mm (inwards if negative)."""
        lower = _pointwise(lambda value, _: value - margin_mm, self.lower_mm, self.lower_mm)
        upper = _pointwise(lambda value, _: value + margin_mm, self.upper_mm, self.upper_mm)
        return Solid(lambda x, y, z: self.field(x, y, z) - np.float32(margin_mm), lower, upper)


def _pointwise(function: Callable[[float, float], float], a: Point, b: Point) -> Point:
    return (function(a[0], b[0]), function(a[1], b[1]), function(a[2], b[2]))


def box(lower_mm: Point, upper_mm: Point) -> Solid:
    """A cuboid with faces along the patient axes."""
    centre = [(low + high) / 2 for low, high in zip(lower_mm, upper_mm, strict=True)]
    half = [(high - low) / 2 for low, high in zip(lower_mm, upper_mm, strict=True)]

    def field(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        beyond = [np.abs(p - np.float32(c)) - np.float32(h) for p, c, h in zip((x, y, z), centre, half, strict=True)]
        return np.asarray(np.maximum(np.maximum(beyond[0], beyond[1]), beyond[2]), np.float32)

    return Solid(field, lower_mm, upper_mm)


def slab_between(axis: int, low_mm: float, high_mm: float) -> Solid:
    """All points with low <= coordinate `axis` (0 x, 1 y, 2 z) <= high."""
    lower, upper = [-UNBOUNDED_MM] * 3, [UNBOUNDED_MM] * 3
    lower[axis], upper[axis] = low_mm, high_mm
    middle, half = np.float32((low_mm + high_mm) / 2), np.float32((high_mm - low_mm) / 2)

    def field(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        return np.asarray(np.abs((x, y, z)[axis] - middle) - half, np.float32)

    return Solid(field, (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))


def rod(radius_mm: float, *, centre_xy_mm: tuple[float, float] = (0.0, 0.0)) -> Solid:
    """An endless round cylinder along z."""
    cx, cy = centre_xy_mm

    def field(x: FloatArray, y: FloatArray, _z: FloatArray) -> FloatArray:
        return np.asarray(np.hypot(x - np.float32(cx), y - np.float32(cy)) - np.float32(radius_mm), np.float32)

    return Solid(field, (cx - radius_mm, cy - radius_mm, -UNBOUNDED_MM), (cx + radius_mm, cy + radius_mm, UNBOUNDED_MM))


def cylinder(
    radius_mm: float, low_z_mm: float, high_z_mm: float, *, centre_xy_mm: tuple[float, float] = (0.0, 0.0)
) -> Solid:
    """A round cylinder along z between two planes."""
    return rod(radius_mm, centre_xy_mm=centre_xy_mm) & slab_between(2, low_z_mm, high_z_mm)


def ellipsoid(semi_axes_mm: Point, *, centre_mm: Point = (0.0, 0.0, 0.0)) -> Solid:
    """An ellipsoid with axes along x, y, z; the distance is to the nearest surface point."""

    def field(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        offsets = tuple(p - np.float32(c) for p, c in zip((x, y, z), centre_mm, strict=True))
        return _distance_to_ellipsoid(offsets, semi_axes_mm)

    lower = _pointwise(lambda c, r: c - r, centre_mm, semi_axes_mm)
    return Solid(field, lower, _pointwise(lambda c, r: c + r, centre_mm, semi_axes_mm))


def elliptic_rod(semi_axes_xy_mm: tuple[float, float], *, centre_xy_mm: tuple[float, float] = (0.0, 0.0)) -> Solid:
    """An endless cylinder along z with elliptic cross-section."""
    (rx, ry), (cx, cy) = semi_axes_xy_mm, centre_xy_mm

    def field(x: FloatArray, y: FloatArray, _z: FloatArray) -> FloatArray:
        return _distance_to_ellipsoid((x - np.float32(cx), y - np.float32(cy)), semi_axes_xy_mm)

    return Solid(field, (cx - rx, cy - ry, -UNBOUNDED_MM), (cx + rx, cy + ry, UNBOUNDED_MM))


def _distance_to_ellipsoid(offsets: tuple[FloatArray, ...], semi_axes_mm: tuple[float, ...]) -> FloatArray:
    """Signed distance of points to the ellipse or ellipsoid Σ (p_i / r_i)² = 1.

    The nearest surface point is q_i = r_i² p_i / (r_i² + t) with t the largest root of Σ (r_i p_i / (r_i² + t))² = 1
    (Lagrange condition of the nearest point). The left side falls and is convex in t, so Newton from
    t0 = max_i (r_i |p_i| − r_i²), where it is between 1 and the number of axes, rises to the root without overshoot.
    """
    tiny = np.float32(1e-4)
    points = [np.maximum(np.abs(p), tiny) for p in offsets]
    squares = [np.float32(r * r) for r in semi_axes_mm]
    scaled = [np.float32(r) * p for r, p in zip(semi_axes_mm, points, strict=True)]
    shallow = sum((p / np.float32(r)) ** 2 for p, r in zip(points, semi_axes_mm, strict=True)) > DEEP
    root = scaled[0] - squares[0]
    for product, square in zip(scaled[1:], squares[1:], strict=True):
        root = np.maximum(root, product - square)
    for _ in range(NEWTON_STEPS):
        terms = [(product / (square + root)) ** 2 for product, square in zip(scaled, squares, strict=True)]
        slope = sum(term / (square + root) for term, square in zip(terms, squares, strict=True))
        step = (sum(terms) - np.float32(1)) / (np.float32(2) * slope)
        root = root + step
        if np.max(step, where=shallow, initial=0.0) < NEWTON_TOLERANCE_MM2:
            break
    gaps = [p * root / (square + root) for p, square in zip(points, squares, strict=True)]
    return np.asarray(np.copysign(np.sqrt(sum(gap * gap for gap in gaps)), root), np.float32)
