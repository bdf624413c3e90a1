"""The shape between two shapes: signed distances to both outlines, mixed linearly, and what is inside is inside
(shape-based interpolation: Raya and Udupa, IEEE Trans Med Imaging 9:32, 1990)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.contouring.lines import FloatArray, level_loops, thin
from engines.grid import Grid
from engines.grid.rasterise import plane_coverage

FINER = 3
"""Raster points a pixel and axis on which outlines are mixed (chosen: they then lie within 0.2 pixels)."""
THINNING_MM = 0.05
"""Points are left out while the line stays this close to them (chosen: under the raster's own error)."""

Plane = NDArray[np.float32]


def loops_between(
    first: Sequence[FloatArray], second: Sequence[FloatArray], weights: Sequence[float], grid: Grid
) -> list[tuple[FloatArray, ...]]:
    """Outlines (loops (n, 2) of x, y in mm, even-odd rule) that lie so far (0..1) from those of one slice to those of
    another; none where shapes that do not lie over each other have nothing between them."""
    points = np.concatenate([*first, *second])
    pixel, origin = np.asarray(grid.spacing_mm[:2]), np.asarray(grid.origin_mm[:2])
    low, high = np.floor((points.min(axis=0) - origin) / pixel) - 1, np.ceil((points.max(axis=0) - origin) / pixel) + 1
    fine = pixel / FINER
    x, y = (origin + (low - 0.5) * pixel + fine / 2).tolist()
    columns, rows = ((high - low + 1) * FINER).astype(int).tolist()
    window = Grid((x, y, 0.0), (*fine.tolist(), 1.0), (1, rows, columns))
    planes = [_plane(loops, window) for loops in (first, second)]
    x_mm, y_mm, _ = window.axes_mm()
    shapes = []
    for shape in between(planes[0], planes[1], weights, window.spacing_mm[:2]):
        thinned = (thin(loop, THINNING_MM) for loop in level_loops(x_mm, y_mm, shape, 0.5))
        shapes.append(tuple(loop for loop in thinned if len(loop) >= 3))
    return shapes


def _plane(loops: Sequence[FloatArray], window: Grid) -> Plane:
    plane = np.zeros(window.shape[1:], np.float32)
    row, covered = plane_coverage(loops, window)
    plane[row : row + len(covered)] = covered
    return plane


def between(first: Plane, second: Plane, weights: Sequence[float], spacing_xy_mm: tuple[float, float]) -> list[Plane]:
    """Shares (y, x) of the pixels of the shapes that lie so far (0..1) from the first to the second. first, second:
    shares of the pixels of one window; neither is empty."""
    rows, columns = (np.flatnonzero(np.any((first > 0) | (second > 0), axis=axis)) for axis in (1, 0))
    # One pixel of margin, so that the outside has a distance too; planes are padded for outlines at the border.
    box = (slice(rows[0], rows[-1] + 3), slice(columns[0], columns[-1] + 3))
    distances = [_signed_distance(np.pad(plane, 1)[box], spacing_xy_mm) for plane in (first, second)]
    pixel_mm = (spacing_xy_mm[0] + spacing_xy_mm[1]) / 2
    shapes = []
    for weight in weights:
        mixed = (1 - weight) * distances[0] + weight * distances[1]
        plane = np.zeros((first.shape[0] + 2, first.shape[1] + 2), np.float32)
        plane[box] = np.clip(0.5 + mixed / pixel_mm, 0.0, 1.0)
        shapes.append(plane[1:-1, 1:-1])
    return shapes


def _signed_distance(plane: Plane, spacing_xy_mm: tuple[float, float]) -> NDArray[np.float64]:
    """mm to the outline, positive inside. The outline runs half a pixel beyond the centre of the last pixel inside."""
    inside = plane >= 0.5
    if not inside.any():  # thinner than half a pixel everywhere
        inside = plane >= plane.max()
    sampling = spacing_xy_mm[::-1]
    half = (sampling[0] + sampling[1]) / 4
    within = ndimage.distance_transform_edt(inside, sampling=sampling)
    beyond = ndimage.distance_transform_edt(~inside, sampling=sampling)
    signed: NDArray[np.float64] = np.where(inside, within - half, half - beyond)
    return signed
