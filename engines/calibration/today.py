"""The reference CT, deformed to today, with what today's image knows better: where the body ends and where gas is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from engines.grid import Grid

AIR_HU = -1000.0

GAS_BELOW_HU = -400.0
"""Below this today's image shows gas or lung, above it tissue (chosen midway between lung, -700, and fat, -100)."""

MOST_FILLED_HU = 200.0
"""Highest value taken from today's image for tissue where the reference has air (chosen: bone does not appear)."""

LEAST_SHARE = 0.02
"""Of known voxels around, below which their mean says nothing (chosen: one of a neighbourhood of fifty)."""

RIM_MM = 5.0
"""Values of the reference are carried on by this much where today's body reaches beyond it (chosen: what registration
leaves at the skin; beyond it today's own values are taken)."""


def deformed_with_today(
    deformed_hu: NDArray[np.float32],
    today_hu: NDArray[np.floating],
    today_body: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    grid: Grid,
) -> NDArray[np.float32]:
    """HU (z, y, x) float32: `deformed_hu` where both images show tissue or both show gas; air outside today's body; gas
    where today has gas; today's tissue where only the reference has gas or air.

    today_hu: roughly in HU, for telling gas from tissue. seen: voxels that today's image shows; elsewhere the deformed
    reference stays."""
    out = deformed_hu.astype(np.float32, copy=True)
    gas_today, gas_before = today_hu < GAS_BELOW_HU, deformed_hu < GAS_BELOW_HU
    out[seen & ~today_body] = AIR_HU
    inside = seen & today_body
    appeared = inside & gas_today & ~gas_before
    out[appeared] = np.maximum(today_hu[appeared], AIR_HU)
    filled = inside & ~gas_today & gas_before
    if filled.any():
        out[filled] = _carried(deformed_hu, today_hu, filled, ~gas_before, grid)
    return out


def _carried(
    deformed_hu: NDArray[np.float32],
    today_hu: NDArray[np.floating],
    filled: NDArray[np.bool_],
    known: NDArray[np.bool_],
    grid: Grid,
) -> NDArray[np.float32]:
    """Values for the voxels `filled`: the mean of the reference's known voxels within RIM_MM, else today's."""
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(filled))
    size = [2 * round(RIM_MM / step) + 1 for step in grid.spacing_mm[::-1]]
    here = known[box].astype(np.float32)
    share = uniform_filter(here, size)
    mean = uniform_filter(here * deformed_hu[box], size) / np.maximum(share, LEAST_SHARE)
    own = np.clip(today_hu[box], GAS_BELOW_HU, MOST_FILLED_HU)
    values = np.where(share > LEAST_SHARE, np.minimum(mean, MOST_FILLED_HU), own)
    return np.asarray(values[filled[box]], np.float32)
