"""Two stacked layers of leaves as rows that one pair of each layer covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Rows:
    """boundaries_mm (rows + 1,): borders of both layers together, where both have leaves; upper and lower (rows,): the
    pair of each layer that covers the row."""

    boundaries_mm: NDArray[np.float64]
    upper: NDArray[np.int64]
    lower: NDArray[np.int64]


def merged_rows(upper_mm: Sequence[float], lower_mm: Sequence[float]) -> Rows:
    """Rows of two layers, from the leaf borders of each (growing). Layers that do not overlap give no row."""
    upper, lower = np.asarray(upper_mm, np.float64), np.asarray(lower_mm, np.float64)
    borders = np.unique(np.concatenate([upper, lower]))
    inside = (borders >= max(upper[0], lower[0])) & (borders <= min(upper[-1], lower[-1]))
    borders = borders[inside]
    middle = (borders[:-1] + borders[1:]) / 2
    pairs = [(np.searchsorted(own, middle) - 1).astype(np.int64) for own in (upper, lower)]
    return Rows(borders, pairs[0], pairs[1])
