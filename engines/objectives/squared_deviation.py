"""Mean squared deviation from a dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.objectives.penalty import Array


@dataclass(frozen=True)
class SquaredDeviation:
    """sum_i w_i (d_i - d_ref)^2."""

    dose_gy: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        difference = dose_gy - np.float32(self.dose_gy)
        slope = weight * difference
        return float(slope @ difference), 2 * slope
