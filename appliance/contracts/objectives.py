"""What the optimiser is told to want: a list of penalties, each on one structure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class ObjectiveKind(StrEnum):
    SQUARED_DEVIATION = "squared_deviation"
    SQUARED_DIFFERENCE = "squared_difference"
    SQUARED_OVERDOSE = "squared_overdose"
    SQUARED_UNDERDOSE = "squared_underdose"
    MEAN_DOSE = "mean_dose"
    GEUD = "geud"
    DVH_MAX = "dvh_max"
    DVH_MIN = "dvh_min"
    FALLOFF = "falloff"


@dataclass(frozen=True)
class Objective:
    """One penalty. dose_gy: reference dose of the course. volume_percent: DVH point's volume. exponent: gEUD's a.
    `goal` is the index in the goal set that this objective serves, or -1 for helpers such as the dose fall-off.
    hot_spot marks the helper that holds the goal set's hot-spot limit. SQUARED_DIFFERENCE is from the dose
    that the planning system was told to imitate, voxel by voxel; its dose_gy says nothing."""

    structure: str
    kind: ObjectiveKind
    dose_gy: float
    weight: float
    volume_percent: float = 0.0
    exponent: float = 1.0
    goal: int = -1
    hot_spot: bool = False

    def scaled(self, factor: float) -> Objective:
        return replace(self, weight=self.weight * factor)


Objectives = tuple[Objective, ...]
