"""What an image shows of its frame: the circle that it was reconstructed in, and the value of what lies beyond."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid

RIM_PIXELS, MOST_DEEPER = 1.5, 0.005
"""What lies within the circle and has the value of the outside on every slice may lie this near to its rim (chosen:
edge pixels, and a circle that is half a pixel off the middle of the frame; a body that is round lies further off), but
for this share of the circle (chosen: air whose noise was cut off at that value, by chance on every slice)."""

RING_PIXELS, MOST_IN_RING = 4.0, 0.6
"""Of the voxels this near to the rim, counted on each slice for itself, this share may have the value of the outside
(chosen: half of the air, where its noise was cut off at that value; round a body that tapers it is more)."""

MOST_WITHIN = 0.25
"""Share of the pixels with the value of the outside that may lie within the circle (chosen: a rim of air round a body
that fills the frame lies within it nearly all)."""

SMALLEST_OUTSIDE = 0.02
"""Share of a slice outside the circle, below which there is none (chosen: a circle within the frame loses 21 %)."""


def circle_seen(values: NDArray[np.generic], grid: Grid) -> NDArray[np.bool_] | None:
    """(y, x): the pixels within the circle of reconstruction; None where there is none and the image fills its frame.

    Outside the circle every slice has one and the same value, that of its corners, and inside nearly none has: air has
    noise. So what has that value in every slice is the outside, if it is what lies beyond one circle about the middle
    of the frame. Air without noise has one value too, but ends at the skin. What cannot be told: within a circle, air
    of the very value of its outside (then the whole frame counts as seen); and a round body in the very middle of a
    frame of such air, whose skin passes for the circle."""
    outside = np.all(values == values[0, 0, 0], axis=0)
    corners = outside[[0, 0, -1, -1], [0, -1, 0, -1]]
    if not corners.all() or outside.all() or outside.mean() < SMALLEST_OUTSIDE:
        return None
    x_mm, y_mm, _ = grid.axes_mm()
    away_mm = np.hypot(x_mm[None, :] - x_mm.mean(), y_mm[:, None] - y_mm.mean())
    radius_mm = float(away_mm[~outside].max())
    within = np.asarray(away_mm <= radius_mm, np.bool_)
    pixel_mm = max(grid.spacing_mm[:2])
    deep, ring = away_mm < radius_mm - RIM_PIXELS * pixel_mm, within & (away_mm > radius_mm - RING_PIXELS * pixel_mm)
    if (deep & outside).sum() > MOST_DEEPER * within.sum() or (within & outside).sum() > MOST_WITHIN * outside.sum():
        return None
    if np.mean(values[:, ring] == values[0, 0, 0]) > MOST_IN_RING:
        return None
    return within


def filling_of(values: NDArray[np.generic], grid: Grid) -> float | None:
    """The value that stands for nothing: that of what lies beyond the circle of reconstruction, or the lowest one where
    it fills what lies beyond a rectangle on every slice (an image laid into a larger frame). None where there is
    neither: then the lowest value is that of air."""
    if circle_seen(values, grid) is not None:
        return float(values[0, 0, 0])
    lowest = values.min()
    shown = ~np.all(values == lowest, axis=0)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if shown.all() or not rows.size:
        return None
    return float(lowest) if shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all() else None
