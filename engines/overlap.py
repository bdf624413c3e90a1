"""How much of two regions is shared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Region = NDArray[np.bool_] | NDArray[np.floating]


def dice(one: Region, other: Region) -> float:
    """2 |A and B| / (|A| + |B|) of two masks, or two arrays of fractions 0..1, of one shape; 1 where both are empty.
    Dice, Ecology 26:297 (1945)."""
    total = float(one.sum(dtype=np.float64) + other.sum(dtype=np.float64))
    return 2.0 * float(np.minimum(one, other).sum(dtype=np.float64)) / total if total > 0 else 1.0
