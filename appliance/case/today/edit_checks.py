"""Contour edits that make no sense, refused before anything is touched."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from appliance.case.contours import LEAST_AREA_MM2, PLANE_TOLERANCE_MM, stray_points
from appliance.case.today.drawn import slice_index
from appliance.contracts.contour_edit import Point, ReplaceByMask
from appliance.errors import RefusedContourEdit
from engines.contouring.lines import FloatArray
from engines.contouring.shapes import crosses_itself
from engines.grid import Grid
from engines.grid.rasterise import shoelace_area_mm2

MOST_RADIUS_MM = 100.0
"""Of a brush and of smoothing (chosen: half a patient; more is a slip of the unit)."""


def checked_slice(z_mm: float, grid: Grid) -> int:
    """Raises RefusedContourEdit for a height that is no slice's."""
    if math.isfinite(z_mm):
        index = slice_index(z_mm, grid)
        here_mm = grid.origin_mm[2] + index * grid.spacing_mm[2]
        if 0 <= index < grid.shape[0] and abs(z_mm - here_mm) <= PLANE_TOLERANCE_MM:
            return index
    raise RefusedContourEdit(
        f"z = {z_mm:g} mm is no slice of the image",
        remedy=f"Edit on its slices, every {grid.spacing_mm[2]:g} mm from {grid.origin_mm[2]:g} mm",
    )


def checked_points(points: Sequence[Point], grid: Grid, *, least: int = 1) -> FloatArray:
    """(n, 2) without points that repeat the one before. Raises RefusedContourEdit for too few points, points that are
    no numbers, and points outside the image."""
    if len(points) < least:
        raise RefusedContourEdit(
            f"it has {len(points)} points where at least {least} are needed", remedy="Draw it again"
        )
    array = np.asarray(points, np.float64)
    if not np.isfinite(array).all():
        raise RefusedContourEdit("a point is not a number", remedy="Draw it again")
    if stray_points([array], grid):
        raise RefusedContourEdit("a point lies outside the image", remedy="Draw within the image")
    kept = np.ones(len(array), np.bool_)
    kept[1:] = np.any(np.diff(array, axis=0) != 0, axis=1)
    return array[kept]


def checked_polygon(points: Sequence[Point], grid: Grid) -> FloatArray:
    """As `checked_points`, without the first point repeated at the end. Raises also for an outline that crosses itself
    or encloses nothing."""
    loop = checked_points(points, grid, least=3)
    if len(loop) > 1 and (loop[0] == loop[-1]).all():
        loop = loop[:-1]
    if len(loop) >= 3 and crosses_itself(loop):
        raise RefusedContourEdit("the outline crosses itself", remedy="Draw it again without crossing it")
    if len(loop) < 3 or abs(shoelace_area_mm2(loop)) < LEAST_AREA_MM2:
        raise RefusedContourEdit("the outline encloses nothing", remedy="Draw it round what you mean")
    return loop


def checked_radius(radius_mm: float) -> float:
    if not (math.isfinite(radius_mm) and 0 < radius_mm <= MOST_RADIUS_MM):
        raise RefusedContourEdit(
            f"a radius of {radius_mm:g} mm cannot be drawn with",
            remedy=f"Choose one above 0 and up to {MOST_RADIUS_MM:g} mm",
        )
    return radius_mm


def checked_mask(edit: ReplaceByMask, grid: Grid) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(rows, columns) of the image. Raises RefusedContourEdit for pixels that are not of the image."""
    mask = np.zeros(grid.shape[1:], np.bool_)
    for row, column, count in edit.runs:
        if count < 1 or not 0 <= row < grid.shape[1] or not 0 <= column <= column + count <= grid.shape[2]:
            raise RefusedContourEdit("a pixel of the mask lies outside the image", remedy="Send the mask again")
        mask[row, column : column + count] = True
    return mask
