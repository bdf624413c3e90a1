"""Dose of the whole course: calculated by physics for a deliverable plan, or predicted by a network. Never confused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid

AS_RECEIVED = "as received"
"""Algorithm and beam model of a dose that another system made for its own plan, and that is only judged here."""


@dataclass(frozen=True, eq=False)
class CalculatedDose:
    """Physics dose of one exact plan. dose_gy: (z, y, x) float32 on `grid`, all fractions together. plan_digest binds
    it to `Plan.digest`. beam_dose_gy: optionally the same per beam, in the plan's order. dose_to: energy per mass of
    what it is; transport: in what matter the algorithm lets radiation pass. density_overridden: structures had a
    density in place of the CT's. notes: sentences on what limits it."""

    grid: Grid
    dose_gy: NDArray[np.float32]
    plan_digest: str
    algorithm: str
    beam_model: str
    beam_dose_gy: tuple[NDArray[np.float32], ...] = field(default_factory=tuple)
    dose_to: Literal["water", "medium"] = "water"
    transport: str = ""
    density_overridden: bool = False
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        names = f"{self.algorithm}|{self.beam_model}|{self.dose_to}"
        header = f"{self.grid}|{self.plan_digest}|{names}|".encode()
        return hashlib.sha256(header + np.ascontiguousarray(self.dose_gy, "<f4").tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class PredictedDose:
    """What a network expects a good plan to reach; guides planning, is never offered for approval."""

    grid: Grid
    dose_gy: NDArray[np.float32]
    uncertainty_gy: NDArray[np.float32]
    model: str
