"""Mean squared dose missing to a wanted dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.objectives.penalty import Array


@dataclass(frozen=True)
class SquaredUnderdose:
    """sum_i w_i max(0, d_ref - d_i)^2."""

    dose_gy: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        missing = np.maximum(np.float32(self.dose_gy) - dose_gy, 0)
        slope = weight * missing
        return float(slope @ missing), -2 * slope
