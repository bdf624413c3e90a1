"""Mean squared dose above a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.objectives.penalty import Array


@dataclass(frozen=True)
class SquaredOverdose:
    """sum_i w_i max(0, d_i - d_ref)^2."""

    dose_gy: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        excess = np.maximum(dose_gy - np.float32(self.dose_gy), 0)
        slope = weight * excess
        return float(slope @ excess), 2 * slope
