"""The contours of one ROI as loops on the image's planes, and the rules for contours that are not as they should be.

Refused: contours that are not closed and planar, that lie off the image planes, or that hold values that are no
points. Left out with a note: loops of fewer than three different points or without area (stray clicks). Read as the
even-odd rule says, with a note: loops that cross themselves. Everything else stands as received.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from appliance.case.attributes import items, refused, text
from appliance.errors import InconsistentCase
from engines.grid import Grid
from engines.grid.rasterise import even_odd_area_mm2, shoelace_area_mm2

PLANE_TOLERANCE_MM = 0.1
"""A contour lies on an image plane if all its points are this near; chosen, because some planning systems round
positions to 0.1 mm and no slice is that thin."""

LEAST_AREA_MM2 = 1e-3
"""A loop with less area is a line or a point; chosen far below one pixel of any image."""

CROSSING_SHARE = 0.005
CROSSING_MM2 = 1.0
"""A loop crosses itself worth mentioning if its even-odd and its shoelace area differ by more than this share and this
area; chosen, because hand-drawn outlines often overlap by a fraction of a pixel where they close."""

CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
"""Contour Geometric Types (PS3.3 C.8.8.6.1) that enclose an area. The second demands the even-odd rule by its name,
the first leaves the rule open."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Loops:
    """by_plane: slice index -> loops (n, 2) mm. notes: what was left out or read by a rule, as parts of a sentence."""

    by_plane: dict[int, list[FloatArray]]
    notes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return not self.by_plane


def geometric_types(roi_contour: Dataset | None) -> set[str]:
    if roi_contour is None:
        return set()
    return {text(contour, "ContourGeometricType") for contour in items(roi_contour, "ContourSequence")}


def read_loops(roi_contour: Dataset | None, grid: Grid, what: str) -> Loops:
    """The loops of one ROI Contour item (None: the ROI has none).

    Raises RefusedObject `contour.values`, InconsistentCase `contour.type` and `contour.off-plane`. what: names the
    structure set and the structure."""
    by_plane: dict[int, list[FloatArray]] = {}
    left_out = crossing = 0
    for contour in items(roi_contour, "ContourSequence") if roi_contour is not None else ():
        if text(contour, "ContourGeometricType") not in CLOSED:
            raise _inconsistent(what, "it holds contours that are not closed and planar", "type")
        points = _points(contour, what)
        plane = _plane_index(points[:, 2], grid, what)
        loop = _without_repeats(points[:, :2])
        area_mm2 = even_odd_area_mm2([loop]) if len(loop) >= 3 else 0.0
        if area_mm2 < LEAST_AREA_MM2:
            left_out += 1
            continue
        difference = abs(area_mm2 - abs(shoelace_area_mm2(loop)))
        crossing += difference > max(CROSSING_MM2, CROSSING_SHARE * area_mm2)
        by_plane.setdefault(plane, []).append(loop)
    notes = []
    if left_out:
        notes.append(f"contours without area, left out: {left_out}")
    if crossing:
        notes.append(f"contours that cross themselves, read by the even-odd rule: {crossing}")
    return Loops(by_plane, tuple(notes))


def _points(contour: Dataset, what: str) -> FloatArray:
    data = contour.get("ContourData")
    values = np.array([] if data is None else data, np.float64).reshape(-1)
    if values.size == 0 or values.size % 3 or not np.all(np.isfinite(values)):
        raise refused(what, "it holds a contour whose data are no points", "contour.values")
    stated = contour.get("NumberOfContourPoints")
    if stated is not None and int(stated) != values.size // 3:
        raise refused(what, "it holds a contour with another number of points than it states", "contour.values")
    return values.reshape(-1, 3)


def _plane_index(z_mm: FloatArray, grid: Grid, what: str) -> int:
    middle = (float(z_mm.min()) + float(z_mm.max())) / 2
    index = round((middle - grid.origin_mm[2]) / grid.spacing_mm[2])
    plane_mm = grid.origin_mm[2] + index * grid.spacing_mm[2]
    if not 0 <= index < grid.shape[0] or np.abs(z_mm - plane_mm).max() > PLANE_TOLERANCE_MM:
        raise _inconsistent(what, f"it has contours off the image planes (at z = {middle:.1f} mm)", "off-plane")
    return index


def _without_repeats(points: FloatArray) -> FloatArray:
    """Points that repeat the one before, and the first point repeated at the end, say nothing."""
    return points[np.any(points != np.roll(points, 1, axis=0), axis=1)]


def _inconsistent(what: str, reason: str, rule: str) -> InconsistentCase:
    return InconsistentCase(
        reason,
        what=what,
        remedy="Draw the structure on the slices of today's image and send the structure set again",
        rule=f"contour.{rule}",
    )


def stray_points(loops: Sequence[FloatArray], grid: Grid) -> bool:
    """Whether any point lies outside the image's field of view (voxel borders)."""
    low = np.array(grid.origin_mm[:2]) - 0.5 * np.array(grid.spacing_mm[:2]) - PLANE_TOLERANCE_MM
    high = low + np.array([grid.shape[2], grid.shape[1]]) * grid.spacing_mm[:2] + 2 * PLANE_TOLERANCE_MM
    return any(bool(np.any(loop < low) or np.any(loop > high)) for loop in loops)
