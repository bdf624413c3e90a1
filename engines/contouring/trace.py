"""Voxels to closed planar loops, slice by slice.

The outline is the line of half a voxel's share (marching squares on the shares, linear between voxel centres); it lies
within 0.09 pixels of an edge along the grid. Loops combine by the even-odd rule of `engines.grid.rasterise`, so holes
have loops of their own. Two things that this line would lose are drawn in another way:

- Islands of less than SMALL_PIXELS: along the pixel borders, scaled about their centre to their area. The line of one
  half would cut a single voxel to half its size.
- Parts thinner than half a pixel, where no share reaches one half: by a line at a lower share, which gives a strip of
  width m in the middle of a pixel row its width (`_level`). A strip that lies across two rows comes out wider.

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
LEAST_PIXELS = 0.25
"""Area in pixels under which an island, a thin part or a hole is left out (chosen: a quarter of what one click draws)."""
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
    left_out += _raise_thin_parts(field)
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


def _raise_thin_parts(field: Shares) -> list[float]:
    """Brings what lies off every pixel that is half inside above one half, in place; areas of what is left out."""
    solid = field >= HALF
    thin = (field > 0) & ~_widened(solid)
    if not thin.any():
        return []
    parts, count = ndimage.label(thin, AROUND)
    numbers = np.arange(1, count + 1)
    areas = ndimage.sum_labels(field, parts, numbers)
    drawn = np.concatenate([[False], areas >= LEAST_PIXELS])
    strips = np.where(drawn[parts], field, np.float32(0))
    # Across a strip along the rows the highest share is a column's, across one along the columns a row's.
    across = np.minimum(ndimage.maximum_filter1d(strips, 3, axis=0), ndimage.maximum_filter1d(strips, 3, axis=1))
    level = _level(across)
    np.multiply(field, HALF / np.maximum(level, FAINT / 2), out=field, where=drawn[parts])
    field[(parts > 0) & ~drawn[parts]] = 0
    return [float(area) for area in np.asarray(areas)[~drawn[1:]]]


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the eight neighbours of each pixel; the border of the mask must be empty."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    wide = rows.copy()
    wide[:, 1:] |= rows[:, :-1]
    wide[:, :-1] |= rows[:, 1:]
    return wide


def _level(highest: NDArray[np.floating]) -> NDArray[np.floating]:
    """Share at which a strip with shares 0, m, 0 across has the width m: linear interpolation gives it the width
    2 (1 - t / m) at the share t. One half for m = 1."""
    return highest * (1 - highest / 2)
