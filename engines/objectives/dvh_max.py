"""Dose-volume point: at most a volume above a dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.objectives.dose_at_volume import dose_at_volume
from engines.objectives.penalty import Array


@dataclass(frozen=True)
class DvhMax:
    """No more than volume_percent above dose_gy: sum_i w_i (d_i - d_ref)^2 over the points with
    d_ref < d_i <= D_v, where D_v is the dose that volume_percent receives now. Points hotter than D_v are the share
    that may exceed the limit. Wu and Mohan, Med Phys 27:701 (2000)."""

    dose_gy: float
    volume_percent: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        allowed = dose_at_volume(dose_gy, weight, self.volume_percent / 100)
        excess = np.where(dose_gy <= allowed, np.maximum(dose_gy - np.float32(self.dose_gy), 0), np.float32(0))
        slope = weight * excess
        return float(slope @ excess), 2 * slope
