"""A region grown or shrunk by margins that differ by direction.

A grown region is everything that an ellipsoid of eight quadrants reaches whose centre stands in the region: a point p
belongs to it if some point q of the region has Σ ((p - q)_i / m_i)² <= 1, where m_i is the margin of the side on which
p lies along axis i. A shrunk region is what no such ellipsoid reaches that stands outside and is mirrored. The sum is
separable, so its least value over q is found axis by axis (as Felzenszwalb and Huttenlocher do for a plain distance,
Theory of Computing 8:415, 2012; here the halves of the parabolas differ, and every way within reach is tried).

Within a slice (`engines.contouring.distance`) borders count where they are and not in pixels. Along the patient the
region goes linearly from outline to outline: between two slices lies the mixture of their signed distances
(shape-based interpolation, as `engines.contouring.interpolate`), taken on planes close enough for the margin. Where
a part of an outline has nothing over it on the next slice, it ends half a slice beyond its own. The result is what the
grown solid shows at the middle of each slice: margins along the patient come out in whole slices, and of a flat end
exactly half a slice is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.contouring.distance import FURTHEST, Field, Raster, Sheet
from engines.contouring.lines import FloatArray, level_loops, thin
from engines.contouring.shapes import area_of, covered_by_none, loops_of
from engines.grid import Grid, Margins

LEAST_RASTER = 2.0
"""A margin is at least this many raster points wide, so that the line between two points is placed by both ..."""
FINEST = 4
"""... down to this part of a pixel; a border with less margin, or none, is placed within an eighth of a pixel."""
THINNING_MM = 0.02
"""Points are left out while the line stays this close to them (chosen: a fifth of what strips may be off)."""
PLANES_A_MARGIN = 2.0
MOST_PLANES = 4
"""Between two slices so many planes are taken that a margin holds PLANES_A_MARGIN of their steps, MOST_PLANES steps at
most (chosen: on a slope of 45 degrees the surface then lies within 4 % of the margin)."""
ROUNDING = 1e-9
"""A way that is as long as the margin but for rounding is not within it."""

Loops = Mapping[int, Sequence[FloatArray]]
"""Slice index -> closed loops (n, 2) of x, y in mm, combined by the even-odd rule."""
Outlines = dict[int, tuple[FloatArray, ...]]


def grown(loops: Loops, grid: Grid, margins: Margins, slices: Sequence[int] | None = None) -> Outlines:
    """The region grown by the margins, on the slices asked for (None: all of the grid); only slices where it is. May
    reach beyond the image in plane."""
    wanted = range(grid.shape[0]) if slices is None else slices
    used = {index: loops[index] for index in _sources(wanted, grid, margins) if loops.get(index)}
    if not used:
        return {}
    low, high = bounds(used)
    left, right = margins.axes[0]
    posterior, anterior = margins.axes[1]
    low, high = low - np.array([right, anterior]), high + np.array([left, posterior])
    raster = _raster(low, high, grid, margins)
    sheets = _inner_sheets(used, raster, margins)
    return _outlines({index: _grown_field(index, sheets, grid, margins) for index in wanted}, raster, FURTHEST)


def shrunk(
    loops: Loops, grid: Grid, margins: Margins, slices: Sequence[int] | None = None, near: Loops | None = None
) -> Outlines:
    """The region less the margins, on the slices asked for (None: all of the grid); only slices where some of it is
    left. It goes on beyond the first and last slice of the image as it is there. near: only what lies where these
    loops are is needed; what is further away may be missing."""
    wanted = [index for index in (range(grid.shape[0]) if slices is None else slices) if loops.get(index)]
    if not wanted:
        return {}
    low, high = bounds({index: loops[index] for index in wanted})
    if near:
        near_low, near_high = bounds(near)
        reach = np.array([max(margins.axes[0]), max(margins.axes[1])])
        low, high = np.maximum(low, near_low - reach), np.minimum(high, near_high + reach)
    if (low > high).any():
        return {}
    used = {index: loops.get(index, ()) for index in _sources(wanted, grid, margins)}
    raster = _raster(low, high, grid, margins)
    sheets = _outer_sheets(used, raster, margins)
    return _outlines({index: _shrunk_field(index, sheets, grid, margins) for index in wanted}, raster, 0.0)


def reached_slices(index: int, grid: Grid, margins: Margins) -> range:
    """The slices of the grid that may look another way when slice `index` does."""
    up, down = (_slices(margin, grid.spacing_mm[2]) for margin in margins.axes[2])
    return range(max(index - down, 0), min(index + up + 1, grid.shape[0]))


def bounds(loops: Loops) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest x, y of all points."""
    points = np.concatenate([loop for own in loops.values() for loop in own])
    return points.min(axis=0), points.max(axis=0)


def _slices(margin_mm: float, step_mm: float) -> int:
    return int(np.ceil(margin_mm / step_mm - ROUNDING))


def _sources(wanted: Sequence[int], grid: Grid, margins: Margins) -> list[int]:
    """The slices that have to do with those wanted, whether grown or shrunk."""
    far = max(_slices(margin, grid.spacing_mm[2]) for margin in margins.axes[2])
    touched = {near for index in wanted for near in range(index - far, index + far + 1)}
    return sorted(index for index in touched if 0 <= index < grid.shape[0])


def _raster(low_mm: FloatArray, high_mm: FloatArray, grid: Grid, margins: Margins) -> Raster:
    narrowest = min(*margins.axes[0], *margins.axes[1])
    pixel = np.asarray(grid.spacing_mm[:2])
    finer = FINEST if narrowest <= 0 else int(np.clip(np.ceil(LEAST_RASTER * pixel.max() / narrowest), 1, FINEST))
    return Raster.around(low_mm - 2 * pixel, high_mm + 2 * pixel, grid, finer)


@dataclass(frozen=True, eq=False)
class _Sheets:
    """Signed distances on one raster. of: of each slice; ends: (slice index, +1 or -1) -> half a slice beyond it,
    upwards or downwards, where something ends there."""

    of: Mapping[int, Field]
    ends: Mapping[tuple[int, int], Field]


def _inner_sheets(loops: Loops, raster: Raster, margins: Margins) -> _Sheets:
    """Of a region that is to be grown: its parts that end are there half a slice beyond."""
    sheets = {index: Sheet.of(raster, own, *margins.axes[:2]) for index, own in loops.items()}
    ends = {}
    for index, own in loops.items():
        for way in (1, -1):
            following = sheets.get(index + way)
            if following is None:
                ends[index, way] = sheets[index].signed
            elif len(own) > 1 or not (sheets[index].inside & following.inside).any():
                ending = loops_of(covered_by_none(area_of(own), area_of(loops[index + way])))
                if ending:
                    ends[index, way] = Sheet.of(raster, ending, *margins.axes[:2]).signed
    return _Sheets({index: sheet.signed for index, sheet in sheets.items()}, ends)


def _outer_sheets(loops: Loops, raster: Raster, margins: Margins) -> _Sheets:
    """Of a region that is to be shrunk: half a slice beyond its last one there is nothing of it."""
    sheets = {
        index: Sheet.of(raster, own, *margins.axes[:2], for_inside=True).signed for index, own in loops.items() if own
    }
    nothing = np.full((raster.y_mm.size, raster.x_mm.size), np.float32(FURTHEST))
    ends = {(i, way): nothing for i in sheets for way in (1, -1) if i + way in loops and not loops[i + way]}
    return _Sheets(sheets, ends)


def _grown_field(index: int, sheets: _Sheets, grid: Grid, margins: Margins) -> Field | None:
    """Least squared distance, in margins, of the points of a slice to the region; None where that is out of reach."""
    here = sheets.of.get(index)
    best = None if here is None else np.square(np.maximum(here, np.float32(0)))
    for way, margin in ((-1, margins.superior), (1, margins.inferior)):  # what lies below reaches upwards
        reach = margin / grid.spacing_mm[2]
        for place, signed in _planes(index, way, sheets, reach):
            squared = np.square(np.maximum(signed, np.float32(0))) + np.float32((place / reach) ** 2)
            best = squared if best is None else np.minimum(best, squared)
    return best


def _shrunk_field(index: int, sheets: _Sheets, grid: Grid, margins: Margins) -> Field:
    """Least squared distance, in margins, of the points of a slice to what lies outside the region."""
    best = np.square(np.maximum(-sheets.of[index], np.float32(0)))
    for way, margin in ((1, margins.superior), (-1, margins.inferior)):
        reach = margin / grid.spacing_mm[2]
        for place, signed in _planes(index, way, sheets, reach):
            best = np.minimum(best, np.square(np.maximum(-signed, np.float32(0))) + np.float32((place / reach) ** 2))
    return best


def _planes(index: int, way: int, sheets: _Sheets, reach: float) -> Iterator[tuple[float, Field]]:
    """(how many slices away, signed distances there) of the planes beyond slice `index` that are nearer than reach."""
    if reach <= 0:
        return
    steps = int(np.clip(np.ceil(PLANES_A_MARGIN / reach), 1, MOST_PLANES))
    for away in range(int(np.ceil(reach))):
        here, there = (sheets.of.get(index + way * (away + more)) for more in (0, 1))
        if here is not None and there is not None:
            for step in range(1, steps + 1):
                if away + step / steps < reach - ROUNDING:
                    share = np.float32(step / steps)
                    yield away + step / steps, (1 - share) * here + share * there
        for ending in (sheets.ends.get((index + way * away, way)), sheets.ends.get((index + way * (away + 1), -way))):
            if ending is not None and away + 0.5 < reach - ROUNDING:
                yield away + 0.5, ending


def _outlines(fields: Mapping[int, Field | None], raster: Raster, around: float) -> Outlines:
    """Lines of one margin on every slice; around: on which side of it the border of the window is."""
    found = {}
    for index, field in fields.items():
        if field is None:
            continue
        root = np.sqrt(np.minimum(field, np.float32(FURTHEST**2)))
        root[[0, -1]] = around
        root[:, [0, -1]] = around
        thinned = (thin(loop, THINNING_MM) for loop in level_loops(raster.x_mm, raster.y_mm, root, 1.0))
        loops = tuple(loop for loop in thinned if len(loop) >= 3)
        if loops:
            found[index] = loops
    return found
