"""The circle that an image was reconstructed in, where it was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid

LARGEST_MISFIT = 0.02
"""Share of the pixels of a slice's border region that may lie on the wrong side of the circle (chosen: edge pixels)."""

SMALLEST_OUTSIDE = 0.02
"""Share of a slice outside the circle, below which there is none (chosen: a circle within the frame loses 21 %)."""


def circle_seen(values: NDArray[np.generic], grid: Grid) -> NDArray[np.bool_] | None:
    """(y, x): the pixels within the circle of reconstruction; None where there is none and the image fills its frame.

    Outside the circle every slice has one and the same value, that of its corners, and inside nearly none has: air has
    noise. So what has that value in every slice is the outside, if it is what lies beyond one circle about the middle
    of the frame. An image whose air has no noise shows no circle, and its whole frame counts as seen."""
    filler = values[0, 0, 0]
    outside = np.all(values == filler, axis=0)
    corners = outside[[0, 0, -1, -1], [0, -1, 0, -1]]
    if not corners.all() or outside.all() or outside.mean() < SMALLEST_OUTSIDE:
        return None
    x_mm, y_mm, _ = grid.axes_mm()
    radius_mm = np.hypot(x_mm[None, :] - x_mm.mean(), y_mm[:, None] - y_mm.mean())
    within = np.asarray(radius_mm <= radius_mm[~outside].max(), np.bool_)
    if np.mean(within == outside) > LARGEST_MISFIT:
        return None
    return within
