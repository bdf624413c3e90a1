"""The shapes of one slice as plane areas: joined, cut, brushed and smoothed without a raster, so that what an edit does
not touch stays where it was to the last digit that is written.

An area is a Shapely geometry (GEOS, exact clipping); it is made of loops by the even-odd rule of
`engines.grid.rasterise`. Points lie on a lattice of DECIMALS, which is also what a structure set is written with: a
shape that was written and read back is the shape that was held.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from engines.contouring.lines import FloatArray
from engines.grid import Grid

DECIMALS = 4
LATTICE_MM = 10.0**-DECIMALS

ARC_MM = 0.02
"""A disc's outline lies this far inside the circle at most (chosen: well under any pixel)."""

Area = BaseGeometry
EMPTY: Area = shapely.Polygon()


def area_of(loops: Sequence[FloatArray]) -> Area:
    """What loops (n, 2) in mm enclose by the even-odd rule. A loop that crosses itself, or touches itself along a
    keyhole's bridge, counts as that rule reads it."""
    parts = [_polygons(shapely.make_valid(shapely.Polygon(loop))) for loop in loops]
    return _on_lattice(reduce(lambda one, other: one.symmetric_difference(other), parts, EMPTY))


def loops_of(area: Area) -> tuple[FloatArray, ...]:
    """Borders of an area, holes as loops of their own, in an order that depends on the area alone."""
    loops = []
    for polygon in shapely.get_parts(_polygons(shapely.normalize(area))):
        for ring in (polygon.exterior, *polygon.interiors):
            loops.append(np.round(shapely.get_coordinates(ring)[:-1], DECIMALS))
    return tuple(loops)


def area_mm2(area: Area) -> float:
    return float(shapely.area(area))


def is_same(area: Area, other: Area) -> bool:
    """Whether both hold the same points, however they are drawn."""
    return bool(shapely.equals(area, other))


def joined(area: Area, other: Area) -> Area:
    return _polygons(shapely.union(area, other, grid_size=LATTICE_MM))


def cut(area: Area, other: Area) -> Area:
    """Without what the other covers."""
    return _polygons(shapely.difference(area, other, grid_size=LATTICE_MM))


def common(area: Area, other: Area) -> Area:
    return _polygons(shapely.intersection(area, other, grid_size=LATTICE_MM))


def image_area(grid: Grid) -> Area:
    """What a slice of the image shows, to the borders of its pixels."""
    low = np.array(grid.origin_mm[:2]) - np.array(grid.spacing_mm[:2]) / 2
    high = low + np.array([grid.shape[2], grid.shape[1]]) * np.array(grid.spacing_mm[:2])
    return shapely.box(*low, *high)


def covered_by_none(area: Area, other: Area) -> Area:
    """The parts of an area that have nothing in common with the other."""
    return shapely.MultiPolygon([part for part in shapely.get_parts(area) if not part.intersects(other)])


def stroke(points_mm: FloatArray, radius_mm: float) -> Area:
    """What a disc covers whose centre goes along the points (n, 2), n >= 1."""
    path = shapely.Point(points_mm[0]) if len(points_mm) == 1 else shapely.LineString(points_mm)
    return _on_lattice(shapely.buffer(path, radius_mm, quad_segs=_arcs(radius_mm)))


def smoothed(area: Area, radius_mm: float) -> Area:
    """Without corners and spikes that a disc of this radius does not fit into, and then without notches and gaps that
    it does not fit into (opening, then closing). What is narrower than the disc goes as a whole."""
    arcs = _arcs(radius_mm)
    grown = shapely.buffer(shapely.buffer(area, -radius_mm, quad_segs=arcs), 2 * radius_mm, quad_segs=arcs)
    return _on_lattice(shapely.buffer(grown, -radius_mm, quad_segs=arcs))


def without_crumbs(area: Area, least_mm2: float) -> Area:
    """Without parts and holes of less area."""
    kept = []
    for polygon in shapely.get_parts(area):
        holes = [ring for ring in polygon.interiors if shapely.area(shapely.Polygon(ring)) >= least_mm2]
        if shapely.area(polygon) >= least_mm2:
            kept.append(shapely.Polygon(polygon.exterior, holes))
    return shapely.MultiPolygon(kept)


def crosses_itself(loop_mm: FloatArray) -> bool:
    """Whether a loop crosses or touches itself anywhere."""
    return not shapely.is_simple(shapely.LinearRing(loop_mm))


def _on_lattice(area: Area) -> Area:
    return _polygons(shapely.set_precision(area, LATTICE_MM))


def _polygons(area: Area) -> Area:
    """The parts that have an area."""
    parts = shapely.get_parts(area)
    flat = shapely.get_parts(parts) if len(parts) else parts
    return shapely.MultiPolygon([part for part in flat if part.geom_type == "Polygon" and not part.is_empty])


def _arcs(radius_mm: float) -> int:
    """Segments a quarter circle, so that their chords stay within ARC_MM: sagitta = r (1 - cos(half the angle))."""
    half_angle = np.arccos(max(1.0 - ARC_MM / radius_mm, 0.0))
    return max(4, int(np.ceil(np.pi / 4 / half_angle)))
