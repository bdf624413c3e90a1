"""Dose of the whole course: calculated by physics for a deliverable plan, or predicted by a network. Never confused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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
class PredictedBand:
    """Where a structure's DVH is expected to lie. volume_percent (n,): the curve's volumes, descending from 100. At
    each, the dose that at least so much of it receives: dose_gy (n,) expected, and between low_gy and high_gy (n,) in
    80 % of patients like those that the network was calibrated on. structure: as in `DvhCurve`."""

    structure: str
    volume_percent: NDArray[np.float32]
    low_gy: NDArray[np.float32]
    dose_gy: NDArray[np.float32]
    high_gy: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PredictedDose:
    """What a network expects a good plan to reach; guides planning, is never offered for approval.

    dose_gy: (z, y, x) float32 on `grid`, of the whole course, zero where the network was not asked. uncertainty_gy,
    half_width_95_gy: likewise, half the width of the calibrated 80 % and 95 % interval about dose_gy. model: name@ and
    the first eight digits of the file's SHA-256. warnings: sentences on what of the patient the network hardly knows.
    dvh: the bands of the structures that it was calibrated for. model_sha256: of the network's whole file. It has no
    digest and names no plan: nothing that is approved, signed or exported can be bound to it."""

    grid: Grid
    dose_gy: NDArray[np.float32]
    uncertainty_gy: NDArray[np.float32]
    half_width_95_gy: NDArray[np.float32]
    model: str
    warnings: tuple[str, ...] = ()
    dvh: tuple[PredictedBand, ...] = ()
    model_sha256: str = ""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What came of asking the network: a dose, or `reasons` (sentences) why there is none, never neither and never
    both. notes: sentences on how it was made, such as a slower backend than wanted. seconds: wall clock of each part,
    by its name."""

    dose: PredictedDose | None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.dose is None) != bool(self.reasons):
            raise ValueError("a prediction is a dose, or the reasons why there is none")

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that whoever looks at the plan has to be told of it."""
        return (*self.reasons, *(self.dose.warnings if self.dose is not None else ()), *self.notes)
