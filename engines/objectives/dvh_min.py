"""Dose-volume point: at least a volume above a dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.objectives.dose_at_volume import dose_at_volume
from engines.objectives.penalty import Array


@dataclass(frozen=True)
class DvhMin:
    """At least volume_percent above dose_gy: sum_i w_i (d_ref - d_i)^2 over the points with D_v <= d_i < d_ref; points
    colder than D_v are the share that may miss the dose. Wu and Mohan, Med Phys 27:701 (2000)."""

    dose_gy: float
    volume_percent: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        allowed = dose_at_volume(dose_gy, weight, self.volume_percent / 100)
        missing = np.where(dose_gy >= allowed, np.maximum(np.float32(self.dose_gy) - dose_gy, 0), np.float32(0))
        slope = weight * missing
        return float(slope @ missing), -2 * slope
