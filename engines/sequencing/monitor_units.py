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
    peak = float(fluence.max(initial=0.0))
    if peak <= 0:
        return 0.0, np.zeros_like(fluence)
    step = np.diff(np.pad(fluence, ((0, 0), (1, 1))), axis=1)
    rounding = ROUNDING * peak
    root = np.sqrt(step * step + rounding * rounding)
    rows = (0.5 * (step + root - rounding)).clip(min=0.0).sum(axis=1)
    top = float(rows.max())
    if top <= 0:
        return 0.0, np.zeros_like(fluence)
    units = top * float(((rows / top) ** POWER).sum()) ** (1.0 / POWER)
    rises = 0.5 * (1.0 + step / root) * ((rows / units) ** (POWER - 1.0))[:, None]
    return units, rises[:, :-1] - rises[:, 1:]
