"""The margin between two outlines, from how far the points of the outer one lie from the inner one.

Every point of a grown region's surface is as far from the source as the margin says: m all round, and for margins that
differ by side about sqrt(Σ (m_i n_i)²), n being the direction to it and m_i the margin of the side it lies on along
axis i (exact on flat faces). Only points are asked that lie beside the source in its own slice or nearly so, because
along the patient both go in whole slices, and only those out of reach of the skin, to which a PTV may be cropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.contouring.lines import FloatArray
from engines.grid import Grid, Margins

LEAST_MARGIN_MM, MOST_MARGIN_MM = 1.0, 30.0
"""What is taken for the margin of a PTV (chosen: less cannot be told from a copy, more is no margin of set-up)."""
SAME_MM = 0.6
"""Margins of two sides that differ by less are one (chosen: more than rounding to 0.5 mm can do)."""
WHOLE_MM = 0.3
"""A margin this close to whole millimetres is meant so, others are rounded to 0.5 mm (chosen: people type integers)."""
BESIDE = 0.5
"""Sine of the steepest way that still counts as beside the source (chosen: 30 degrees)."""
TOWARDS = 0.9
"""Cosine of the widest angle to a side that still counts as that side (chosen: 26 degrees)."""
LEAST_POINTS = 20
"""To say anything of a side (chosen)."""
LEAST_OFF_MM, OFF_PIXELS = 1.0, 1.1
"""Distances within both keep the margin (chosen: programs that grow in pixels are up to one short of it, none more)."""
MOST_NEARER, MOST_FURTHER = 0.005, 0.02
"""Shares of points that may lie nearer, or further (chosen: growing leaves no point nearer, and what is cut out for an
organ does; further from the next contour lie points beside edges and branches)."""
LEAST_CUT = 0.005
"""Share of points cut back from the skin from which the PTV counts as cropped (chosen: 15 of 3,000 points)."""
MOST_CROP_MM = 5.0
"""Deepest crop that is looked for (chosen: the build-up of 6 MV is 3 to 5 mm)."""


@dataclass(frozen=True, eq=False)
class Outline:
    """Points of an outer outline. way_mm (n, 3): x, y, z to each from the nearest point of the inner one. depth_mm
    (n,): to the skin, infinite where that is out of reach of any crop."""

    way_mm: FloatArray
    depth_mm: FloatArray

    @property
    def distance_mm(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self.way_mm, axis=1), np.float64)

    @property
    def is_free(self) -> NDArray[np.bool_]:
        """Beside the source and not near the skin."""
        beside = np.abs(self.way_mm[:, 2]) <= BESIDE * self.distance_mm
        return np.asarray(beside & np.isinf(self.depth_mm), np.bool_)

    def off_mm(self, margins: Margins) -> FloatArray:
        """How much further than the margin says."""
        rising, falling = np.asarray(margins.axes).T
        direction = self.way_mm / np.maximum(self.distance_mm, 1e-6)[:, None]
        sides = np.where(self.way_mm > 0, rising, falling)
        return np.asarray(self.distance_mm - np.linalg.norm(direction * sides, axis=1), np.float64)


def likely_margins(outline: Outline, ends_mm: tuple[float | None, float | None], grid: Grid) -> tuple[Margins, ...]:
    """The simplest first, none where there is no margin. ends_mm: how far the outer outline goes on beyond the inner
    one upwards and downwards, in whole slices; None: nobody knows."""
    free, slice_mm = outline.is_free, grid.spacing_mm[2]
    if free.sum() < LEAST_POINTS or any(end is not None and end < 0 for end in ends_mm):
        return ()
    middle = float(np.median(outline.distance_mm[free]))
    if not LEAST_MARGIN_MM - WHOLE_MM <= middle <= MOST_MARGIN_MM:
        return ()
    sides, all_round = _sides(outline, free, middle), _rounded(middle)
    up, down = (middle if end is None else end for end in ends_mm)
    # Half a slice and more off the margin in the slice is another margin; less cannot be told from it.
    along = [all_round if abs(end - middle) < slice_mm / 2 else round(end, 2) for end in (up, down)]
    found = [Margins(*sides, *along)]
    if set(sides) == {all_round} and max(abs(up - middle), abs(down - middle)) < slice_mm:
        found.insert(0, Margins.all_round(all_round))
    return tuple(dict.fromkeys(found))


def is_kept(outline: Outline, margins: Margins, grid: Grid) -> bool:
    """Whether the outline keeps the margin wherever it is free to; further away it may be by half a slice, which is
    how far the source is from its next contour."""
    off_mm, near_mm = outline.off_mm(margins)[outline.is_free], _tolerance_mm(grid)
    far_mm = max(near_mm, grid.spacing_mm[2] / 2)
    nearer, further = np.mean(off_mm < -near_mm), np.mean(off_mm > far_mm)
    return bool(nearer <= MOST_NEARER and further <= MOST_FURTHER)


def crop_mm(outline: Outline, margins: Margins, grid: Grid) -> float:
    """How deep under the skin the points lie that are short of the margin there; 0 where hardly any is."""
    short = np.isfinite(outline.depth_mm) & (outline.off_mm(margins) < -_tolerance_mm(grid))
    if np.mean(short) < LEAST_CUT:
        return 0.0
    return float(np.clip(np.round(2 * np.median(outline.depth_mm[short])) / 2, 0, MOST_CROP_MM))


def _sides(outline: Outline, free: NDArray[np.bool_], middle_mm: float) -> list[float]:
    """Towards left, right, anterior, posterior; the middle of all where a side shows too little, as one at the skin."""
    across = np.maximum(np.hypot(outline.way_mm[:, 0], outline.way_mm[:, 1]), 1e-6)
    found = []
    for axis, sign in ((0, 1), (0, -1), (1, -1), (1, 1)):
        there = free & (sign * outline.way_mm[:, axis] >= TOWARDS * across)
        enough = there.sum() >= LEAST_POINTS
        found.append(float(np.median(outline.distance_mm[there])) if enough else middle_mm)
    if max(abs(side - middle_mm) for side in found) <= SAME_MM:
        return [_rounded(middle_mm)] * 4
    return [_rounded(side) for side in found]


def _rounded(margin_mm: float) -> float:
    whole = float(round(margin_mm))
    return whole if abs(margin_mm - whole) <= WHOLE_MM else round(2 * margin_mm) / 2


def _tolerance_mm(grid: Grid) -> float:
    return max(LEAST_OFF_MM, OFF_PIXELS * max(grid.spacing_mm[:2]))
