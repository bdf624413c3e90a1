"""The dose that a share of a structure's volume receives now, for penalties on dose-volume points."""

from __future__ import annotations

import numpy as np

from engines.objectives.penalty import Array


def dose_at_volume(dose_gy: Array, weight: Array, volume: float) -> float:
    """Dose that the hottest `volume` (0..1) of the weight receives."""
    order = np.argsort(dose_gy)[::-1]
    reached = np.cumsum(weight[order], dtype=np.float64)
    return float(dose_gy[order[min(int(np.searchsorted(reached, volume)), order.size - 1)]])
