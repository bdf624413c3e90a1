"""Monitor units that a fluence map costs, before it is sequenced: a smooth estimate with its gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POWER = 10.0
"""Exponent of the norm that stands for the largest row (chosen: within 10 % of the maximum for 20 rows alike)."""
ROUNDING = 0.03
"""Rises and falls smaller than this share of the map's peak are rounded off, so that the estimate has a gradient
everywhere (chosen: an order below the steps that sequencing keeps)."""

Array = NDArray[np.float64]


def monitor_units(fluence: Array) -> tuple[float, Array]:
    """(MU, gradient like fluence) of a map (rows, columns): the costliest row's sum of rises, which is the beam-on time
    of a sliding window and the least any sequence of openings can do (Stein et al., Radiother Oncol 32:162, 1994;
    Ahuja and Hamacher, Networks 45:36, 2005). The maximum over rows is a p-norm here, the rise a smooth max(0, step).
    """
    units, slopes = monitor_units_of(fluence[None])
    return float(units[0]), slopes[0]


def monitor_units_of(fluences: Array) -> tuple[Array, Array]:
    """(MU (maps,), gradient like fluences) of several maps (maps, rows, columns) at once; see `monitor_units`."""
    rounding = ROUNDING * fluences.max(axis=(1, 2), initial=0.0)[:, None, None]
    step = np.zeros((*fluences.shape[:2], fluences.shape[2] + 1))
    step[:, :, :-1] = fluences
    step[:, :, 1:] -= fluences
    root = np.sqrt(step * step + rounding * rounding)
    rows = (0.5 * (step + root - rounding)).clip(min=0.0).sum(axis=2)
    top = rows.max(axis=1, initial=0.0)
    dark = top <= 0
    top[dark] = 1.0
    units = top * ((rows / top[:, None]) ** POWER).sum(axis=1) ** (1.0 / POWER)
    share = rows / np.where(dark, 1.0, units)[:, None]
    rises = 0.5 * (1.0 + step / np.where(root > 0, root, 1.0)) * (share ** (POWER - 1.0))[:, :, None]
    return units, rises[:, :, :-1] - rises[:, :, 1:]
