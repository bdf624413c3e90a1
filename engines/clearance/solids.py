"""Signed distance of points to a treatment head and to a bore.

Head: a cylinder around the beam axis, whose flat face lies `face_mm` from the isocentre and that goes on without end
behind it. With z the part of a point along the axis towards the source and r its distance from the axis, a point in
front is hypot(max(r - radius, 0), max(face - z, 0)) away; behind the face and within the radius it is face - z, below
0. Bore: a cylinder around the axis of the gantry, without end; a point at r is radius - r away.

For points no further than the radius from the isocentre (r <= radius always) the nearest one is the furthest along the
axis, and that is a corner of their convex hull as seen along the gantry's axis: few points and one product. Points
beyond are looked at one by one, but only those that could be nearer than what was found: turning the gantry never
brings one nearer than hypot(max(|y| - radius, 0), max(face - rho, 0)), y its part along the gantry's axis and rho its
distance from that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from engines.errors import EngineError

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
CHUNK = 1 << 21
"""Distances computed at a time (chosen: 16 MB a table)."""
DIRECT = 8
"""For fewer gantry angles all points are tried: a hull would take longer (chosen)."""


def head_distances(
    points_mm: Array, beam_axes: Array, gantry_axes: Array, *, face_mm: float, radius_mm: float
) -> tuple[Array, Numbers]:
    """(distance_mm (m,), index (m,) of the nearest point) for each of m positions. points_mm (n, 3) from the isocentre;
    beam_axes (m, 3) unit vectors towards the source, gantry_axes (m, 3) along the axis the gantry turns about. Below 0:
    the point lies in the head, by as much along the beam axis. Raises EngineError without points or for sizes that are
    not above 0."""
    _check(points_mm, face_mm, radius_mm)
    best = np.full(len(beam_axes), np.inf)
    nearest = np.zeros(len(beam_axes), np.int64)
    square = np.einsum("ij,ij->i", points_mm, points_mm)
    is_near = square <= radius_mm**2
    near, far = np.flatnonzero(is_near), np.flatnonzero(~is_near)
    for axis in np.unique(gantry_axes, axis=0):
        turns = np.flatnonzero((gantry_axes == axis).all(axis=1))
        outer = _outermost(points_mm, near, axis) if turns.size > DIRECT else near
        for part in _chunks(len(outer), len(turns)):
            along = beam_axes[turns[part]] @ points_mm[outer].T
            first = along.argmax(axis=1)
            best[turns[part]] = face_mm - np.take_along_axis(along, first[:, None], axis=1)[:, 0]
            nearest[turns[part]] = outer[first]
        y = points_mm[far] @ axis
        rho = np.sqrt(np.maximum(square[far] - y**2, 0.0))
        least = np.hypot(np.maximum(np.abs(y) - radius_mm, 0.0), np.maximum(face_mm - rho, 0.0))
        kept = far[least < best[turns].max()]
        for part in _chunks(len(kept), len(turns)):
            distance = _around(points_mm[kept], square[kept], beam_axes[turns[part]], face_mm, radius_mm)
            first = distance.argmin(axis=1)
            value = np.take_along_axis(distance, first[:, None], axis=1)[:, 0]
            closer = value < best[turns[part]]
            best[turns[part][closer]] = value[closer]
            nearest[turns[part][closer]] = kept[first[closer]]
    return best, nearest


def bore_distances(points_mm: Array, gantry_axes: Array, *, radius_mm: float) -> tuple[Array, Numbers]:
    """(distance_mm (m,), index (m,)) of the point that is furthest from the axis of the bore, for each of m positions
    of the couch: gantry_axes (m, 3). Below 0: outside the bore. Raises EngineError as `head_distances`."""
    _check(points_mm, radius_mm, radius_mm)
    best = np.empty(len(gantry_axes))
    nearest = np.zeros(len(gantry_axes), np.int64)
    square = np.einsum("ij,ij->i", points_mm, points_mm)
    for axis in np.unique(gantry_axes, axis=0):
        turns = (gantry_axes == axis).all(axis=1)
        r2 = square - (points_mm @ axis) ** 2
        first = int(r2.argmax())
        best[turns] = radius_mm - np.sqrt(max(float(r2[first]), 0.0))
        nearest[turns] = first
    return best, nearest


def _outermost(points_mm: Array, of: Numbers, axis: Array) -> Numbers:
    """Those of points (k,) that can be furthest along any direction across an axis: the corners of their convex hull,
    seen along it."""
    across = np.linalg.svd(axis[None, :])[2][1:]
    try:
        hull = ConvexHull(points_mm[of] @ across.T)
    except (QhullError, ValueError):  # a line, or fewer than three points: all of them may be
        return of
    return np.asarray(of[hull.vertices], np.int64)


def _around(points_mm: Array, square: Array, axes: Array, face_mm: float, radius_mm: float) -> Array:
    """(positions, points) signed distances."""
    along = axes @ points_mm.T
    aside = np.sqrt(np.maximum(square - along**2, 0.0)) - radius_mm
    outside = np.hypot(np.maximum(aside, 0.0), np.maximum(face_mm - along, 0.0))
    return np.asarray(np.where((aside <= 0) & (along > face_mm), face_mm - along, outside))


def _chunks(points: int, positions: int) -> list[slice]:
    if not points:
        return []
    step = max(1, CHUNK // points)
    return [slice(start, min(start + step, positions)) for start in range(0, positions, step)]


def _check(points_mm: Array, *sizes_mm: float) -> None:
    if points_mm.ndim != 2 or points_mm.shape[1] != 3 or not len(points_mm) or not np.isfinite(points_mm).all():
        raise EngineError(f"distances need finite points (n, 3), got {points_mm.shape}")
    if not min(sizes_mm) > 0:
        raise EngineError(f"a head or bore needs sizes above 0 mm, got {sizes_mm}")
