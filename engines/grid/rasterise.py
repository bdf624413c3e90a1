"""Closed planar loops to partial-volume voxels.

Convention, the same everywhere: loops on one plane combine by the even-odd rule (a loop inside a loop is a hole, a
keyhole's bridge has no area, a self-crossing loop counts the parts an odd number of turns surrounds); each plane stands
for a slab of one slab thickness centred on it, so that a structure reaches half a slab beyond its end planes and
planes on every slice fill the structure without overlap.

Method: scanlines. Each voxel row is cut into sub-rows; on the middle line of each sub-row the crossings of all edges
are sorted, consecutive pairs are inside, and the covered length of every voxel is exact. Coverage is accumulated as
its derivative along x (a crossing at x adds the part of its voxel right of x, and what is left to the next voxel) and
summed up once, the accumulation-buffer idea of scanline font renderers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid.grid import Grid
from engines.grid.voxels import VoxelSet

SUB_ROWS = 16
"""Scanlines per voxel row; chosen, because an edge lying along a row is then placed within 1/32 of a voxel (exactly
on voxel borders and centre lines) and the body outline of 150 slices of 512 x 512 still takes well under a second."""

NEGLIGIBLE_SHARE = 1e-3
"""Shares of a voxel's height closer than this to 0 or 1 are rounding of the plane's z; they count as 0 or 1."""

ROUNDING = 1e-7
"""Rounding of the running sum along a row (float64, at most a few thousand terms of size 1)."""

FloatArray = NDArray[np.float64]
_Part = tuple[float, int, NDArray[np.float32]]
"""What one plane gives to one slice: share of the slice's height, first row, coverage (rows, nx)."""


def rasterise(
    loops_by_z_mm: Mapping[float, Sequence[FloatArray]], grid: Grid, *, slab_mm: float | None = None
) -> VoxelSet:
    """Share of every voxel inside the loops.

    loops_by_z_mm: plane z in mm -> loops, each (n, 2) of x, y in mm (LPS), n >= 3, closed implicitly. slab_mm: the
    thickness each plane stands for, by default the grid's z spacing. What lies outside the grid is cut off; slabs that
    overlap add up to at most 1. Volume error for smooth outlines is below 0.1 % from ten voxels across on (tested).
    Raises EngineError for a loop of another shape or points that are not finite.
    """
    thickness = grid.spacing_mm[2] if slab_mm is None else slab_mm
    if not thickness > 0:
        raise EngineError(f"a slab needs a positive thickness, got {thickness} mm")
    slices: dict[int, list[tuple[float, float]]] = {}
    for z_mm in loops_by_z_mm:
        for index, height in _slices_of_slab(z_mm, thickness, grid):
            slices.setdefault(index, []).append((height, z_mm))
    last_slice = {z_mm: index for index in sorted(slices) for _, z_mm in slices[index]}
    planes: dict[float, tuple[int, NDArray[np.float32]]] = {}
    found = []
    for index in sorted(slices):
        for _, z_mm in slices[index]:
            if z_mm not in planes:
                planes[z_mm] = plane_coverage(loops_by_z_mm[z_mm], grid)
        found.append(_slice_voxels(index, [(height, *planes[z_mm]) for height, z_mm in slices[index]], grid))
        # coverage of a plane is as large as a slice of the image: kept only until its last slice
        planes = {z_mm: plane for z_mm, plane in planes.items() if last_slice[z_mm] > index}
    return VoxelSet(
        np.concatenate([index for index, _ in found] or [np.zeros(0, np.int32)]),
        np.concatenate([fraction for _, fraction in found] or [np.zeros(0, np.float32)]),
    )


def plane_coverage(loops: Sequence[FloatArray], grid: Grid) -> tuple[int, NDArray[np.float32]]:
    """Covered share of the pixels of one plane: the first row that is reached, and (rows, nx) shares 0..1 from there
    on (no rows if nothing is covered). Raises EngineError as `rasterise`."""
    ny, nx = grid.shape[1:]
    scan, x = crossings(_edges(loops, grid), (np.arange(ny * SUB_ROWS) + 0.5) / SUB_ROWS)
    if scan.size == 0:
        return 0, np.zeros((0, nx), np.float32)
    order = np.lexsort((x, scan))
    scan, x = scan[order], np.clip(x[order], 0.0, nx)
    # Every closed loop crosses a line an even number of times, so entering and leaving alternate through the list.
    sign = np.where(np.arange(scan.size) % 2 == 0, 1.0, -1.0) / SUB_ROWS
    row = scan // SUB_ROWS
    first_row, rows = int(row[0]), int(row[-1] - row[0]) + 1
    column = x.astype(np.intp)
    # One column more takes what is left of a crossing in the last voxel, and crossings right of the grid.
    cell = (row - first_row) * (nx + 2) + column
    passed = sign * (x - column)
    steps = np.bincount(
        np.concatenate([cell, cell + 1]), np.concatenate([sign - passed, passed]), rows * (nx + 2)
    ).reshape(rows, nx + 2)
    np.cumsum(steps, axis=1, out=steps)
    share = steps[:, :nx].astype(np.float32)
    share *= share > ROUNDING
    return first_row, np.minimum(share, np.float32(1), out=share)


def even_odd_area_mm2(loops: Sequence[FloatArray]) -> float:
    """Area inside the loops by the even-odd rule, from one scanline midway between consecutive vertices, where all
    edges are straight: exact where no edges cross, and otherwise a number that differs from the shoelace area."""
    vertices_mm = np.unique(np.concatenate([loop[:, 1] for loop in loops]))
    lines_mm = (vertices_mm[:-1] + vertices_mm[1:]) / 2
    edges = np.concatenate([np.hstack([loop, np.roll(loop, -1, axis=0)]) for loop in loops])
    line, x_mm = crossings(edges, lines_mm)
    order = np.lexsort((x_mm, line))
    widths_mm = x_mm[order][1::2] - x_mm[order][::2]
    return float(np.sum(widths_mm * np.diff(vertices_mm)[line[order][::2]]))


def shoelace_area_mm2(points_mm: FloatArray) -> float:
    """Signed area of a loop (n, 2), positive where x turns towards y (Meister's shoelace formula)."""
    centred = points_mm - points_mm.mean(axis=0)
    following = np.roll(centred, -1, axis=0)
    return float(0.5 * np.sum(centred[:, 0] * following[:, 1] - following[:, 0] * centred[:, 1]))


def _slices_of_slab(z_mm: float, thickness: float, grid: Grid) -> list[tuple[int, float]]:
    """(slice index, share of the slice's height) for the slices that the plane's slab reaches."""
    dz = grid.spacing_mm[2]
    low = (z_mm - thickness / 2 - grid.origin_mm[2]) / dz + 0.5
    high = low + thickness / dz
    found = []
    for index in range(max(0, int(np.floor(low))), min(grid.shape[0], int(np.ceil(high)))):
        share = min(high, index + 1.0) - max(low, float(index))
        if share > 1 - NEGLIGIBLE_SHARE:
            share = 1.0
        if share > NEGLIGIBLE_SHARE:
            found.append((index, share))
    return found


def _slice_voxels(index: int, parts: list[_Part], grid: Grid) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Flat indices and shares of the voxels of one slice."""
    ny, nx = grid.shape[1:]
    if len(parts) == 1:
        height, first_row, coverage = parts[0]
    else:
        height, first_row, coverage = 1.0, 0, np.zeros((ny, nx), np.float32)
        for share, row, piece in parts:
            coverage[row : row + len(piece)] += np.float32(share) * piece
        np.minimum(coverage, 1.0, out=coverage)
    shares = coverage.reshape(-1)
    inside = np.flatnonzero(shares).astype(np.int32)
    fraction = shares[inside] * np.float32(height)
    inside += np.int32((index * ny + first_row) * nx)
    return inside, fraction


def _edges(loops: Sequence[FloatArray], grid: Grid) -> FloatArray:
    """Edges (n, 4) as x0, y0, x1, y1 in voxel-border coordinates: voxel i reaches from i to i + 1."""
    offset = np.array(grid.origin_mm[:2])
    spacing = np.array(grid.spacing_mm[:2])
    edges = []
    for loop in loops:
        if loop.ndim != 2 or loop.shape[1] != 2 or loop.shape[0] < 3 or not np.all(np.isfinite(loop)):
            raise EngineError(f"a loop must be at least three finite points (n, 2), got shape {loop.shape}")
        points = (np.asarray(loop, np.float64) - offset) / spacing + 0.5
        edges.append(np.hstack([points, np.roll(points, -1, axis=0)]))
    return np.concatenate(edges) if edges else np.zeros((0, 4))


def crossings(edges: FloatArray, lines: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """(number of the line, x) of every crossing of edges (n, 4) x0, y0, x1, y1 with the lines at rising y.

    An edge holds the lines with lower end <= y < upper end, so that a vertex on a line is counted once."""
    falling = edges[:, 1] > edges[:, 3]
    edges = np.where(falling[:, None], edges[:, [2, 3, 0, 1]], edges)
    first, last = np.searchsorted(lines, edges[:, [1, 3]]).T
    counts = last - first
    edge = np.repeat(np.arange(len(edges)), counts)
    within = np.arange(edge.size) - np.repeat(np.cumsum(counts) - counts, counts)
    line = (first[edge] + within).astype(np.int64)
    x0, y0, x1, y1 = edges[edge].T
    return line, x0 + (lines[line] - y0) * (x1 - x0) / (y1 - y0)
