"""Signed distances from the points of a raster to the outline of a plane shape, in margins that differ by side.

Along x the outline counts where it is. Along y the shape is cut into strips of at least SUB_ROWS a pixel row, each as
the shape is on its middle line, so that a border along x is placed within half a strip. Points and strips are numbered
over the whole image plane: a value does not depend on the window it is computed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.contouring.lines import FloatArray
from engines.grid import Grid
from engines.grid.rasterise import crossings

SUB_ROWS = 8
"""Strips a pixel row at least (chosen: a border is then placed within 0.06 pixels, on average 0)."""

FURTHEST = 2.0
"""Distances in margins stop here (chosen: nothing beyond decides where a line of one margin lies)."""

Sides = tuple[float, float]
Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Raster:
    """x_mm (nx,), y_mm (ny,): points; row_mm: between rows of them; strips_mm (ny * strips,): middle lines of the
    strips that each row is cut into."""

    x_mm: FloatArray
    y_mm: FloatArray
    row_mm: float
    strips_mm: FloatArray
    strips: int

    @staticmethod
    def around(low_mm: FloatArray, high_mm: FloatArray, grid: Grid, finer: int) -> Raster:
        """Points of all pixels that touch the window from low_mm to high_mm (x, y), `finer` a pixel and axis."""
        strips = -(-SUB_ROWS // finer)
        first, last = (
            np.round((corner - grid.origin_mm[:2]) / grid.spacing_mm[:2]).astype(int) for corner in (low_mm, high_mm)
        )
        columns, rows = (np.arange(first[axis] * finer, (last[axis] + 1) * finer) for axis in (0, 1))
        lines = np.arange(first[1] * finer * strips, (last[1] + 1) * finer * strips)
        return Raster(
            _places(columns, finer, grid, 0),
            _places(rows, finer, grid, 1),
            grid.spacing_mm[1] / finer,
            _places(lines, finer * strips, grid, 1),
            strips,
        )


@dataclass(frozen=True, eq=False)
class Sheet:
    """signed (ny, nx): of each point the root of the least Σ (way_i / margin_i)² to the shape, the margin being that of
    the side on which the point lies; negative inside, to what lies outside, with the margins of the sides on which that
    lies. 1 is where the shape comes to when it is grown by the margins, -1 when it is shrunk. No more than FURTHEST,
    and FURTHEST from a little beyond the margin on. inside (ny * strips, nx): of the points moved to each strip."""

    signed: Field
    inside: NDArray[np.bool_]

    @staticmethod
    def of(
        raster: Raster, loops: Sequence[FloatArray], along_x: Sides, along_y: Sides, *, for_inside: bool = False
    ) -> Sheet:
        """loops: of one slice, at least one. along_x, along_y: margins towards rising and falling coordinates.
        for_inside: distances of points inside are to be as good as they can be, those outside are only to be mixed
        with others, and are found with one strip a row; otherwise the other way round."""
        inside, left_mm, right_mm = _beside(raster, loops)
        rising, falling = along_x
        beyond = np.minimum(_squared(left_mm, rising), _squared(right_mm, falling))
        within = np.minimum(_squared(left_mm, falling), _squared(right_mm, rising))
        beyond[inside] = 0
        within[~inside] = 0
        middle = slice(raster.strips // 2, raster.strips // 2 + 1)
        out_strips, depth_strips = (middle, slice(None)) if for_inside else (slice(None), middle)
        out = _along_y(_rows(beyond, raster)[:, out_strips], raster.row_mm, along_y)
        depth = _along_y(_rows(within, raster)[:, depth_strips], raster.row_mm, along_y[::-1])
        return Sheet(np.sqrt(out) - np.sqrt(depth), inside)


def _beside(raster: Raster, loops: Sequence[FloatArray]) -> tuple[NDArray[np.bool_], Field, Field]:
    """For each strip and point (ny * strips, nx): whether it is inside, and how far the next border lies towards
    falling and towards rising x, mm, infinite where there is none."""
    shape = (raster.strips_mm.size, raster.x_mm.size)
    edges = np.concatenate([np.hstack([loop, np.roll(loop, -1, axis=0)]) for loop in loops])
    strip, border_mm = crossings(edges, raster.strips_mm)
    order = np.lexsort((border_mm, strip))
    strip, border_mm = strip[order], border_mm[order]
    following = np.searchsorted(raster.x_mm, border_mm)  # first point at or beyond the border
    passed = np.bincount(strip * (shape[1] + 1) + following, minlength=shape[0] * (shape[1] + 1))
    inside = (np.cumsum(passed.reshape(shape[0], -1), axis=1)[:, :-1] & 1).astype(np.bool_)
    left, right = np.full(shape, -np.inf, np.float32), np.full(shape, np.inf, np.float32)
    # Of several borders between two points the nearest counts: the last from the left, the first from the right.
    after = np.flatnonzero(following < shape[1])
    left[strip[after], following[after]] = border_mm[after]
    before = np.flatnonzero(following > 0)[::-1]
    right[strip[before], following[before] - 1] = border_mm[before]
    np.maximum.accumulate(left, axis=1, out=left)
    np.minimum.accumulate(right[:, ::-1], axis=1, out=right[:, ::-1])
    x_mm = raster.x_mm.astype(np.float32)
    return inside, x_mm - left, right - x_mm


def _squared(distance_mm: Field, margin_mm: float) -> Field:
    if margin_mm == 0:
        return np.where(distance_mm > 0, np.float32(np.inf), np.float32(0))
    return np.asarray(np.square(distance_mm / np.float32(margin_mm)), np.float32)


def _rows(squared: Field, raster: Raster) -> Field:
    """(ny, strips, nx), limited."""
    return np.minimum(squared, np.float32(FURTHEST**2)).reshape(raster.y_mm.size, raster.strips, -1)


def _along_y(strips: Field, row_mm: float, margins_mm: Sides) -> Field:
    """Least over the strips (ny, n, nx) of their squared distance plus that of the way along y to them, for every row
    of points (ny, nx). A strip is an n-th of a row wide."""
    rows, count, columns = strips.shape
    best = np.full((rows, columns), FURTHEST**2, np.float32)
    sums = np.empty_like(best)
    up, down = (int(np.ceil(margin / row_mm)) + 2 for margin in margins_mm)
    for step in range(max(-down, 1 - rows), min(up, rows - 1) + 1):
        target, source = slice(max(step, 0), rows + min(step, 0)), slice(max(-step, 0), rows - max(step, 0))
        for strip in range(count):
            way_mm = (step + ((count - 1) / 2 - strip) / count) * row_mm
            margin = margins_mm[0] if way_mm > 0 else margins_mm[1]
            gap_mm = max(abs(way_mm) - row_mm / count / 2, 0.0)
            if gap_mm > 0 and (margin == 0 or gap_mm > margin + 1.5 * row_mm):
                continue
            cost = np.float32((gap_mm / margin) ** 2 if gap_mm > 0 else 0.0)
            np.add(strips[source, strip], cost, out=sums[target])
            np.minimum(best[target], sums[target], out=best[target])
    return best


def _places(number: NDArray[np.int_], parts: int, grid: Grid, axis: int) -> FloatArray:
    """Middles of the parts of pixels, counted from the beginning of pixel 0."""
    return np.asarray(grid.origin_mm[axis] + ((number + 0.5) / parts - 0.5) * grid.spacing_mm[axis], np.float64)
