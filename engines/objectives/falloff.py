"""Dose above a limit that falls with the distance from the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.objectives.penalty import Array


@dataclass(frozen=True, eq=False)
class Falloff:
    """sum_i w_i max(0, d_i - limit_i)^2 with limit_gy (n,) one for each point. See `falloff_limit_gy`."""

    limit_gy: Array

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        excess = np.maximum(dose_gy - self.limit_gy, 0)
        slope = weight * excess
        return float(slope @ excess), 2 * slope


def falloff_limit_gy(
    distance_mm: Array, dose_gy: float, *, start_mm: float, start: float, end: float, per_mm: float
) -> Array:
    """Limit that leaves start * dose_gy at start_mm from the target and falls exponentially to end * dose_gy:
    end + (start - end) exp(-per_mm (distance - start_mm)). The form is chosen; common planning systems use the same."""
    beyond = np.maximum(distance_mm - np.float32(start_mm), 0)
    return np.asarray(dose_gy * (end + (start - end) * np.exp(-per_mm * beyond)), np.float32)
