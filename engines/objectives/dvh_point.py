"""Dose-volume points: at most (or at least) a volume above a dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.objectives.penalty import Array


def _dose_at(dose_gy: Array, weight: Array, volume: float) -> float:
    """Dose that the hottest `volume` (0..1) of the weight receives."""
    order = np.argsort(dose_gy)[::-1]
    reached = np.cumsum(weight[order], dtype=np.float64)
    return float(dose_gy[order[min(int(np.searchsorted(reached, volume)), order.size - 1)]])


@dataclass(frozen=True)
class DvhMax:
    """No more than volume_percent above dose_gy: sum_i w_i (d_i - d_ref)^2 over the points with
    d_ref < d_i <= D_v, where D_v is the dose that volume_percent receives now. Points hotter than D_v are the share
    that may exceed the limit. Wu and Mohan, Med Phys 27:701 (2000)."""

    dose_gy: float
    volume_percent: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        allowed = _dose_at(dose_gy, weight, self.volume_percent / 100)
        excess = np.where(dose_gy <= allowed, np.maximum(dose_gy - np.float32(self.dose_gy), 0), np.float32(0))
        slope = weight * excess
        return float(slope @ excess), 2 * slope


@dataclass(frozen=True)
class DvhMin:
    """At least volume_percent above dose_gy: sum_i w_i (d_ref - d_i)^2 over the points with D_v <= d_i < d_ref; points
    colder than D_v are the share that may miss the dose. Wu and Mohan, Med Phys 27:701 (2000)."""

    dose_gy: float
    volume_percent: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        allowed = _dose_at(dose_gy, weight, self.volume_percent / 100)
        missing = np.where(dose_gy >= allowed, np.maximum(np.float32(self.dose_gy) - dose_gy, 0), np.float32(0))
        slope = weight * missing
        return float(slope @ missing), -2 * slope
