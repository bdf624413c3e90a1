"""Voxels to closed planar loops, slice by slice.

The outline is the line of half a voxel's share (marching squares on the shares, linear between voxel centres); it lies
within 0.09 pixels of an edge along the grid. Loops combine by the even-odd rule of `engines.grid.rasterise`, so holes
have loops of their own. Two things that this line would lose are drawn in another way:

- Islands of less than SMALL_PIXELS: along the pixel borders, scaled about their centre to their area. The line of one
  half would cut a single voxel to half its size.
- Strips narrower than two pixels: at the share that gives them their width (`_widen_strips`), where one half would
  draw them too narrow or, below half a pixel, not at all. One that is less than a pixel wide and lies across two rows
  comes out a pixel wide.

What is smaller than LEAST_PIXELS is left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.contouring.borders import border_outline
from engines.contouring.lines import FloatArray, level_loops
from engines.grid import Grid, VoxelSet
from engines.grid.rasterise import shoelace_area_mm2

HALF = 0.5
OUTLINE = 0.499
"""Share at which the outline is drawn: just under one half, so that a strip which halves two rows of pixels is drawn
(as wide as it is) and not lost to rounding."""
FAINT = 0.02
"""Shares below this are left by interpolation and rounding, and no part of a region (chosen)."""
FULL = 0.98
LEAST_PIXELS = 0.25
"""Area in pixels under which an island, a thin part or a hole is left out (chosen: next to nothing)."""
SMALL_PIXELS = 6.0
"""Area in pixels under which an island is drawn along its pixels (chosen: marching squares takes 8 % off an island of
two by three pixels by cutting its corners, and 50 % off a single one)."""

AROUND = np.ones((3, 3), np.bool_)
Shares = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Traced:
    """loops: slice index -> loops (n, 2) of x, y in mm; only slices that have one. left_out: number of parts and holes
    that were too small to draw; left_out_mm2: their area, all slices together."""

    loops: Mapping[int, tuple[FloatArray, ...]]
    left_out: int
    left_out_mm2: float


def trace(voxels: VoxelSet, grid: Grid) -> Traced:
    """Outlines of a region on the slices of its grid. About 1 ms for a slice of an organ."""
    found: dict[int, tuple[FloatArray, ...]] = {}
    left_out, left_out_px = 0, 0.0
    for index, plane, row, column in _planes(voxels, grid):
        loops, small = _trace_plane(plane)
        left_out += len(small)
        left_out_px += sum(small)
        if loops:
            first = np.array([column, row])
            spacing, origin = np.array(grid.spacing_mm[:2]), np.array(grid.origin_mm[:2])
            found[index] = tuple((loop + first) * spacing + origin for loop in loops)
    return Traced(found, left_out, left_out_px * grid.spacing_mm[0] * grid.spacing_mm[1])


def _planes(voxels: VoxelSet, grid: Grid) -> list[tuple[int, Shares, int, int]]:
    """(slice index, shares (rows, columns), their first row and column) for every slice, two pixels of nothing around
    what is inside."""
    size, width = grid.shape[1] * grid.shape[2], grid.shape[2]
    bounds = voxels.slice_bounds(grid.shape)
    planes = []
    for index in np.flatnonzero(np.diff(bounds)).tolist():
        first, last = bounds[index], bounds[index + 1]
        rows, columns = np.divmod(voxels.index[first:last] - np.int32(index * size), np.int32(width))
        row, column = int(rows[0]) - 2, int(columns.min()) - 2
        plane = np.zeros((int(rows[-1]) - row + 3, int(columns.max()) - column + 3), np.float32)
        plane[rows - row, columns - column] = voxels.fraction[first:last]
        planes.append((index, plane, row, column))
    return planes


def _trace_plane(plane: Shares) -> tuple[list[FloatArray], list[float]]:
    """(loops in index coordinates, areas in pixels of what was left out)."""
    field = np.where(plane < FAINT, np.float32(0), plane)
    small_loops, left_out = _take_islands(field)
    _widen_strips(field)
    rows, columns = (np.arange(count, dtype=np.float64) for count in field.shape)
    loops = []
    for loop in level_loops(columns, rows, field, OUTLINE):
        area = abs(shoelace_area_mm2(loop))
        if area < LEAST_PIXELS:
            left_out.append(area)
        else:
            loops.append(loop)
    return [*loops, *small_loops], left_out


def _take_islands(field: Shares) -> tuple[list[FloatArray], list[float]]:
    """Loops of the islands of less than SMALL_PIXELS, which are taken out of the field, and areas of those left out."""
    parts, count = ndimage.label(field > 0, AROUND)
    areas = np.bincount(parts.reshape(-1), field.reshape(-1), count + 1)
    loops: list[FloatArray] = []
    left_out: list[float] = []
    for number in np.flatnonzero(areas[1:] < SMALL_PIXELS) + 1:
        mask = parts == number
        area = float(areas[number])
        if area < LEAST_PIXELS:
            left_out.append(area)
        else:
            loops += _scaled(mask, field, area)
        field[mask] = 0
    return loops, left_out


def _scaled(mask: NDArray[np.bool_], field: Shares, area: float) -> list[FloatArray]:
    rows, columns = np.nonzero(mask)
    weight = field[mask].astype(np.float64) / area
    centre = np.array([columns @ weight, rows @ weight])
    scale = np.sqrt(area / rows.size)
    return [centre + scale * (loop - centre) for loop in border_outline(mask)]


def _widen_strips(field: Shares) -> None:
    """Scales, in place, the shares of strips that are narrower than two pixels, so that the outline gives them the
    width that their shares add up to. A strip is where the shares fall to half within two pixels on both sides; neither
    the slope of a blurred edge nor the tip of what is wider (a pixel next to a full one) is. field: with two pixels of
    nothing around."""
    flat, width = field.reshape(-1), field.shape[1]
    partial = np.flatnonzero((flat > 0) & (flat < FULL))
    for near in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        partial = partial[flat[partial + near] < FULL]
    own = flat[partial]
    level = np.zeros(own.size, np.float32)
    for step in (1, width):
        before, after = flat[partial - step], flat[partial + step]
        falls = np.minimum(before, flat[partial - 2 * step]) <= own / 2
        falls &= np.minimum(after, flat[partial + 2 * step]) <= own / 2
        highest = np.maximum(own, np.maximum(before, after))
        rest = np.minimum(before + own + after - highest, highest)
        np.maximum(level, _level(highest, rest), out=level, where=falls)
    strips = level > 0
    flat[partial[strips]] *= HALF / level[strips]


def _level(highest: Shares, rest: Shares) -> Shares:
    """Share at which a strip is drawn with its width, interpolated between two cases. Shares 0, m, 0 across have the
    width 2 (1 - t / m) at the share t, which is m for t = m (1 - m / 2); shares 0, a, a, 0 have 1 + 2 (1 - t / a),
    which is 2 a for t = a (3 / 2 - a). The width of two pixels that are less than half inside is at least one."""
    part = 1 - highest / 2 + rest / highest * (1 - highest) / 2
    return highest * np.minimum(part, np.float32(0.98))
