"""Mean dose above a limit, squared."""

from __future__ import annotations

from dataclasses import dataclass

from engines.objectives.penalty import Array


@dataclass(frozen=True)
class MeanDose:
    """max(0, sum_i w_i d_i - d_ref)^2. With d_ref = 0 it always pulls."""

    dose_gy: float

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        excess = max(0.0, float(weight @ dose_gy) - self.dose_gy)
        return excess * excess, weight * (2 * excess)
