"""The merit of a dose: objectives summed over the samples, value and gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, Objective, ObjectiveKind, Objectives
from appliance.contracts.sampled import Found, RegionSource, goal_values
from appliance.errors import PlanningError
from appliance.planning.regions import region
from appliance.planning.sampling import Samples
from engines.dvh import doses_at_percents
from engines.objectives import (
    DvhMax,
    DvhMin,
    Falloff,
    Geud,
    MeanDose,
    Penalty,
    SquaredDeviation,
    SquaredDifference,
    SquaredOverdose,
    SquaredUnderdose,
)
from engines.objectives.falloff import falloff_limit_gy

__all__ = ["FullGrid", "Merit", "RegionSource", "Regions", "Term", "doses_at", "goal_values"]

FALLOFF_START_MM = 4.0
FALLOFF_START, FALLOFF_END, FALLOFF_PER_MM = 0.98, 0.40, 0.045
"""Shape of the dose fall-off outside targets (chosen on the built-in cases: steep enough for conformity, loose enough
not to fight coverage)."""


@dataclass(frozen=True, eq=False)
class Term:
    objective: Objective
    penalty: Penalty
    factor: float
    position: NDArray[np.int64]
    weight: NDArray[np.float32]


class FullGrid:
    """Regions on every voxel of the image grid: positions are flat indices into it."""

    def __init__(self, case: Case) -> None:
        self._case, self._cc = case, np.float32(case.image.grid.voxel_volume_cc)

    def get(self, expression: str) -> Found | None:
        voxels = region(self._case, expression)
        return None if voxels is None else (voxels.index.astype(np.int64), voxels.fraction * self._cc)


class Regions:
    """Positions and volumes of named regions among the samples, worked out once for a case."""

    def __init__(self, case: Case, samples: Samples) -> None:
        self._case, self._samples = case, samples
        self._known: dict[str, Found | None] = {}

    def get(self, expression: str) -> Found | None:
        """(positions, volume in cc), or None where the case has nothing of it."""
        if expression not in self._known:
            voxels = region(self._case, expression)
            found = None if voxels is None else self._samples.restrict(voxels)
            self._known[expression] = found if found is not None and found[0].size else None
        return self._known[expression]


def _penalty(
    objective: Objective, distance_mm: NDArray[np.float32], reference_gy: NDArray[np.float32] | None
) -> Penalty:
    """Both arrays are of the objective's points. Raises PlanningError without a reference where one is spoken of."""
    dose, kind = objective.dose_gy, objective.kind
    if kind is ObjectiveKind.SQUARED_DIFFERENCE:
        if reference_gy is None:
            raise PlanningError("an objective asks for a dose like another, and none was given")
        return SquaredDifference(reference_gy)
    if kind is ObjectiveKind.FALLOFF:
        return Falloff(
            falloff_limit_gy(
                distance_mm,
                dose,
                start_mm=FALLOFF_START_MM,
                start=FALLOFF_START,
                end=FALLOFF_END,
                per_mm=FALLOFF_PER_MM,
            )
        )
    simple: dict[ObjectiveKind, Penalty] = {
        ObjectiveKind.SQUARED_DEVIATION: SquaredDeviation(dose),
        ObjectiveKind.SQUARED_OVERDOSE: SquaredOverdose(dose),
        ObjectiveKind.SQUARED_UNDERDOSE: SquaredUnderdose(dose),
        ObjectiveKind.MEAN_DOSE: MeanDose(dose),
        ObjectiveKind.DVH_MAX: DvhMax(dose, objective.volume_percent),
        ObjectiveKind.DVH_MIN: DvhMin(dose, objective.volume_percent),
    }
    return simple[kind] if kind in simple else Geud(dose, objective.exponent)


class Merit:
    """Sum of weighted penalties of a list of objectives. reference_gy (samples,): what SQUARED_DIFFERENCE compares
    with. Raises PlanningError if no objective has any voxel."""

    def __init__(
        self,
        objectives: Objectives,
        regions: Regions,
        samples: Samples,
        reference_gy: NDArray[np.float32] | None = None,
    ) -> None:
        self.terms: list[Term] = []
        for objective in objectives:
            found = regions.get(objective.structure)
            if found is None or objective.weight <= 0:
                continue
            position, volume = found
            total = float(volume.sum(dtype=np.float64))
            like = None if reference_gy is None else reference_gy[position]
            penalty = _penalty(objective, samples.distance_mm[position], like)
            self.terms.append(Term(objective, penalty, objective.weight, position, (volume / total).astype(np.float32)))
        if not self.terms:
            raise PlanningError("no objective has any voxel in this case")

    def __call__(self, dose_gy: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        value, gradient = 0.0, np.zeros_like(dose_gy)
        for term in self.terms:
            part, slope = term.penalty(dose_gy[term.position], term.weight)
            if part > 0:
                value += term.factor * part
                gradient[term.position] += np.float32(term.factor) * slope
        return value, gradient

    def slopes(self, dose_gy: NDArray[np.float32]) -> list[tuple[Objective, NDArray[np.float32]]]:
        """The gradient (samples,) of each objective that is not met."""
        found = []
        for term in self.terms:
            part, slope = term.penalty(dose_gy[term.position], term.weight)
            if part > 0:
                gradient = np.zeros_like(dose_gy)
                gradient[term.position] = np.float32(term.factor) * slope
                found.append((term.objective, gradient))
        return found


def doses_at(
    regions: RegionSource, dose_gy: NDArray[np.float32], structure: str, volumes_percent: tuple[float, ...]
) -> tuple[float, ...]:
    """Gy that the hottest so many percent of a region get at least, on the samples; NaN where nothing of it is there.
    Dose below zero counts as zero (see `goal_values`)."""
    found = regions.get(structure)
    if found is None:
        return tuple(float("nan") for _ in volumes_percent)
    dose = np.maximum(dose_gy[found[0]], np.float32(0))
    return tuple(doses_at_percents(dose, found[1], np.asarray(volumes_percent)).tolist())
