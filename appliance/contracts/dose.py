"""Dose of the whole course: calculated by physics for a deliverable plan, or predicted by a network. Never confused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid


@dataclass(frozen=True, eq=False)
class CalculatedDose:
    """Physics dose of one exact plan. dose_gy: (z, y, x) float32 on `grid`, all fractions together. plan_digest binds
    it to `Plan.digest`. beam_dose_gy: optionally the same per beam, in the plan's order."""

    grid: Grid
    dose_gy: NDArray[np.float32]
    plan_digest: str
    algorithm: str
    beam_model: str
    beam_dose_gy: tuple[NDArray[np.float32], ...] = field(default_factory=tuple)

    @property
    def digest(self) -> str:
        header = f"{self.grid}|{self.plan_digest}|{self.algorithm}|{self.beam_model}|".encode()
        return hashlib.sha256(header + np.ascontiguousarray(self.dose_gy, "<f4").tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class PredictedDose:
    """What a network expects a good plan to reach; guides planning, is never offered for approval."""

    grid: Grid
    dose_gy: NDArray[np.float32]
    uncertainty_gy: NDArray[np.float32]
    model: str
