"""Outcome models of one plan, and how it ranks against another with the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, GoalSet
from appliance.contracts.outcomes import OutcomeDifference, OutcomeEstimate
from appliance.errors import EvaluationError
from appliance.evaluation.outcomes.band import band_of, band_words, parameter_sets
from appliance.evaluation.outcomes.curves import complication, control, equivalent_gy, usual_days
from appliance.evaluation.outcomes.organs import Found, organs_of, target_of
from appliance.evaluation.outcomes.parameters import (
    ComplicationRow,
    ControlRow,
    OutcomeParameters,
    Row,
    shipped_parameters,
)
from engines.errors import EngineError
from engines.grid import VoxelSet
from engines.radiobiology import DoseHistogram

Model = Callable[[DoseHistogram, Any], NDArray[Any]]

NO_FRACTIONS = "The number of fractions is not known, so no dose per fraction; name it in the plan"
OUTSIDE = "The prescribed {dose:.2f} Gy a fraction lie outside the {low:g} to {high:g} Gy that the model's data cover"
NOT_COVERED = "The dose grid does not cover {name}; calculate the dose on a larger grid"


@dataclass(eq=False)
class _Plan:
    """dose_gy (z, y, x) total dose on the case's image grid, NaN where there is none. Histograms are made once."""

    case: Case
    dose_gy: NDArray[np.floating]
    made: dict[str, DoseHistogram | None] = field(default_factory=dict)

    def histogram(self, name: str, voxels: VoxelSet) -> DoseHistogram | None:
        """None where the dose grid does not reach all of it."""
        if name not in self.made:
            dose_gy = self.dose_gy.reshape(-1)[voxels.index]
            weight_cc = voxels.fraction * np.float32(self.case.image.grid.voxel_volume_cc)
            try:
                self.made[name] = None if np.isnan(dose_gy).any() else DoseHistogram.of(dose_gy, weight_cc)
            except EngineError as error:
                raise EvaluationError(f"the dose in {name} is no dose ({error}); calculate it again") from error
        return self.made[name]


def assess_outcomes(
    case: Case,
    goal_set: GoalSet,
    dose_gy: NDArray[np.floating],
    fractions: int,
    *,
    scheduled_gy: NDArray[np.floating] | None = None,
    overall_days: float | None = None,
    parameters: OutcomeParameters | None = None,
) -> tuple[OutcomeEstimate, ...]:
    """Every model that fits the case, in the order of the parameter file; for ranking only.

    dose_gy, scheduled_gy: (z, y, x) total dose in Gy on `case.image.grid`, NaN where none was calculated. fractions: of
    the whole course. overall_days: first to last fraction, for control models; without it five fractions a week.
    Models of organs that neither the case has nor the goals name are left out; whatever else stands against a number is
    a sentence in its place. Raises EvaluationError for a dose of another shape or with negative values.
    """
    for values in (dose_gy, scheduled_gy):
        if values is not None and values.shape != case.image.grid.shape:
            raise EvaluationError(f"the dose {values.shape} is not on the image grid {case.image.grid.shape}")
    rows = parameters or shipped_parameters()
    plans = [_Plan(case, dose_gy)] + ([] if scheduled_gy is None else [_Plan(case, scheduled_gy)])
    per_fraction_gy = _per_fraction_gy(goal_set, fractions)
    named = (*goal_set.goals, *goal_set.left_out)
    wanted = frozenset(part for goal in named for part in goal.structure.split("+"))
    estimates: list[OutcomeEstimate] = []
    for row in rows.ntcp:
        for found in organs_of(case, row, wanted):
            estimates.append(_estimate(row, found, plans, fractions, per_fraction_gy, _ntcp(row, fractions)))
    days = usual_days(fractions) if overall_days is None else overall_days
    for tumour in rows.tcp:
        if {goal_set.site, *goal_set.also_for}.isdisjoint(tumour.sites):
            continue
        model = _tcp(tumour, fractions, days)
        made = _estimate(tumour, target_of(case, tumour), plans, fractions, per_fraction_gy, model)
        estimates.append(replace(made, dose_basis=f"{made.dose_basis}, {days:g} days overall"))
    return tuple(estimates)


def _per_fraction_gy(goal_set: GoalSet, fractions: int) -> float:
    highest_gy = max((dose_gy for _, dose_gy in goal_set.prescription), default=0.0)
    return highest_gy / fractions if fractions > 0 else 0.0


def _ntcp(row: ComplicationRow, fractions: int) -> Model:
    return lambda histogram, drawn: complication(row, histogram, fractions, drawn)


def _tcp(row: ControlRow, fractions: int, days: float) -> Model:
    return lambda histogram, drawn: control(row, histogram, fractions, days, drawn)


def _estimate(
    row: Row, found: Found, plans: list[_Plan], fractions: int, per_fraction_gy: float, model: Model
) -> OutcomeEstimate:
    sentence = found.sentence or _unfit(row, fractions, per_fraction_gy)
    bare = _bare(row, found, sentence)
    if sentence or found.voxels is None:
        return bare
    histogram = plans[0].histogram(found.name + found.remark, found.voxels)
    if histogram is None:
        return replace(bare, sentence=NOT_COVERED.format(name=found.name))
    best = float(model(histogram, None))
    drawn = parameter_sets(row)
    values = None if drawn is None else model(histogram, drawn)
    low, high = (None, None) if values is None else band_of(values)
    dose = float(equivalent_gy(row, histogram, fractions, row.n)) if isinstance(row, ComplicationRow) else None
    estimate = replace(bare, probability=best, low=low, high=high, equivalent_gy=dose)
    if len(plans) == 1:
        return estimate
    other = plans[1].histogram(found.name + found.remark, found.voxels)
    if other is None:
        return estimate
    scheduled = float(model(other, None))
    return replace(estimate, versus_scheduled=_difference(best, scheduled, values, drawn, other, model))


def _difference(
    best: float, scheduled: float, values: NDArray[Any] | None, drawn: Any, other: DoseHistogram, model: Model
) -> OutcomeDifference:
    if values is None:
        return OutcomeDifference(scheduled, best - scheduled)
    differences = values - model(other, drawn)
    low, high = band_of(differences)
    lower = float(np.mean(differences < 0) + 0.5 * np.mean(differences == 0))
    return OutcomeDifference(scheduled, best - scheduled, low, high, lower)


def _unfit(row: Row, fractions: int, per_fraction_gy: float) -> str:
    if fractions < 1 or per_fraction_gy <= 0:
        return NO_FRACTIONS
    low, high = row.fraction_gy
    # Rounded as prescriptions are: 60 Gy in 33 fractions is no other schedule than 1.8 Gy.
    if not low - 5e-3 <= per_fraction_gy <= high + 5e-3:
        return OUTSIDE.format(dose=per_fraction_gy, low=low, high=high)
    return ""


def _bare(row: Row, found: Found, sentence: str) -> OutcomeEstimate:
    is_organ = isinstance(row, ComplicationRow)
    return OutcomeEstimate(
        id=row.id,
        structure=found.name,
        kind="NTCP" if is_organ else "TCP",
        endpoint=row.endpoint,
        model=_model_words(row),
        probability=None,
        low=None,
        high=None,
        band=band_words(row),
        equivalent_gy=None,
        dose_basis=_basis(row, found),
        sentence=sentence,
        source=row.citation,
        doi=row.doi,
        checked=row.checked,
        patients=row.patients,
        note=row.note,
    )


def _model_words(row: Row) -> str:
    if not isinstance(row, ComplicationRow):
        return "Poisson-LQ"
    return {"lkb": "Lyman-Kutcher-Burman", "logistic": "logistic", "log-logistic": "log-logistic"}[row.model]


def _basis(row: Row, found: Found) -> str:
    if not isinstance(row, ComplicationRow):
        return f"every voxel's own dose per fraction, alpha/beta {getattr(row, 'alpha_beta_gy', 0):g} Gy"
    reduced = f"hottest {row.hottest_cc:g} cc" if row.hottest_cc else "mean" if row.n == 1 else f"gEUD, n = {row.n:g}"
    dose = "physical dose" if row.alpha_beta_gy is None else f"EQD2, alpha/beta {row.alpha_beta_gy:g} Gy"
    return f"{reduced} of {dose}" + (f", {found.remark}" if found.remark else "")
