"""Generalised equivalent uniform dose above (a >= 1) or below (a < 0) a limit, squared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.errors import EngineError
from engines.objectives.penalty import Array

SMALLEST_DOSE_GY = 1e-3
"""Doses are kept above this so that a negative exponent stays finite (chosen: far below any dose of interest)."""


@dataclass(frozen=True)
class Geud:
    """gEUD = (sum_i w_i d_i^a)^(1/a), Niemierko, Med Phys 26:1100 (1999, abstract); Wu et al., IJROBP 52:224 (2002).

    a >= 1 penalises gEUD above dose_gy (organs), a < 0 penalises gEUD below it (targets); EngineError otherwise.
    """

    dose_gy: float
    exponent: float

    def __post_init__(self) -> None:
        if 0 <= self.exponent < 1:
            raise EngineError(f"gEUD exponent must be at least 1 or negative, got {self.exponent:g}")

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        dose = np.maximum(dose_gy.astype(np.float64), SMALLEST_DOSE_GY)
        # By the dose that dominates the mean, so that the powers are at most 1 whatever the exponent.
        scale = float(dose.min() if self.exponent < 0 else dose.max())
        powered = (dose / scale) ** self.exponent
        mean = float(weight @ powered)
        geud = scale * mean ** (1.0 / self.exponent)
        off = max(0.0, geud - self.dose_gy) if self.exponent >= 1 else min(0.0, geud - self.dose_gy)
        gradient = (2 * off * geud / mean) * weight * powered / dose
        return off * off, gradient.astype(np.float32)
