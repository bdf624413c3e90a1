"""A predicted dose, or that of an earlier plan, as the planner's guide: prediction, evaluation and execution meet
here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, ClinicalGoal, GoalSet, MetricKind, PredictedBand, PredictedDose
from appliance.errors import EvaluationError, PlanningError
from appliance.evaluation.dose_on_image import array_on_image
from appliance.evaluation.judged import Judged, Regions, goal_value
from appliance.execution.guide import Foreseen, Guide, guide_of

NOTHING = Foreseen(math.nan, math.nan, math.nan)


def guide_for(case: Case, goal_set: GoalSet, predicted: PredictedDose) -> Guide:
    """Raises PlanningError for a dose that cannot be of this case."""
    dose_gy = _on_image(predicted.dose_gy, case, predicted)
    return guide_of(goal_set, _foreseen_on(dose_gy, case, goal_set, predicted), bands=predicted.dvh, dose_gy=dose_gy)


def guide_by_reference(case: Case, goal_set: GoalSet, guide: Guide | None) -> Guide:
    """The guide, if there is one, with the case's reference dose in the place of what it would have imitated; what that
    dose reaches for the goals is not foreseen of today's plan. Raises PlanningError for a dose that cannot be of this
    case, or none."""
    if case.reference_dose_gy is None:
        raise PlanningError("there is no reference dose")
    judged = Judged(Regions(case), case.reference_dose_gy)
    guide_of(goal_set, [_exactly(goal, judged) for goal in goal_set.goals], what="reference dose")
    if guide is not None:
        return replace(guide, dose_gy=case.reference_dose_gy)
    return Guide(goal_set, (NOTHING,) * len(goal_set.goals), dose_gy=case.reference_dose_gy)


def _exactly(goal: ClinicalGoal, judged: Judged) -> Foreseen:
    try:
        value = goal_value(goal, judged.volume(goal.structure))
    except EvaluationError:  # absent today
        return NOTHING
    return Foreseen(value, value, value)


def foreseen_goals(case: Case, goal_set: GoalSet, predicted: PredictedDose) -> tuple[Foreseen, ...]:
    """Every goal's value on the predicted dose with its 80 % interval: that of the structure's calibrated band where
    the metric can be read from it, otherwise of all its voxels off by their half-widths together, which is wider than
    it need be. NaN for a goal whose structure is absent today."""
    return _foreseen_on(_on_image(predicted.dose_gy, case, predicted), case, goal_set, predicted)


def _foreseen_on(
    dose_gy: NDArray[np.float32], case: Case, goal_set: GoalSet, predicted: PredictedDose
) -> tuple[Foreseen, ...]:
    half_gy = _on_image(predicted.uncertainty_gy, case, predicted)
    regions, bands = Regions(case), {band.structure: band for band in predicted.dvh}
    doses = [Judged(regions, np.maximum(dose_gy + sign * half_gy, 0)) for sign in (0, -1, 1)]
    return tuple(_foreseen(goal, doses, bands) for goal in goal_set.goals)


def _on_image(volume: NDArray[np.float32], case: Case, predicted: PredictedDose) -> NDArray[np.float32]:
    """Zero where the prediction does not reach, as it is where the network was not asked."""
    on_image, _ = array_on_image(volume, predicted.grid, case.image.grid)
    return np.nan_to_num(on_image, copy=True, nan=0.0)


def _foreseen(goal: ClinicalGoal, doses: list[Judged], bands: Mapping[str, PredictedBand]) -> Foreseen:
    try:
        volumes = [dose.volume(goal.structure) for dose in doses]
    except EvaluationError:  # absent today: nothing to foresee, and the evaluation itself says so
        return NOTHING
    value, low, high = (goal_value(goal, volume) for volume in volumes)
    if goal.structure in bands and goal.unit == "Gy":
        below, above = _half_widths(goal, bands[goal.structure], volumes[0].total)
        low, high = value - below, value + above
    return Foreseen(value, min(low, high, value), max(low, high, value))


def _half_widths(goal: ClinicalGoal, band: PredictedBand, volume_cc: float) -> tuple[float, float]:
    """(below, above) in Gy of a metric in Gy, from the band at its volume, or over all volumes for a mean."""
    order = np.argsort(band.volume_percent)
    volume = band.volume_percent[order]
    sides = [np.maximum(side, 0)[order] for side in (band.dose_gy - band.low_gy, band.high_gy - band.dose_gy)]
    if goal.metric.kind is MetricKind.MEAN:
        whole = float(volume[-1] - volume[0])
        below, above = (float(np.trapezoid(side, volume)) / whole for side in sides)
        return below, above
    percent = {
        MetricKind.DOSE_AT_PERCENT: goal.metric.argument,
        MetricKind.DOSE_AT_CC: 100.0 * goal.metric.argument / volume_cc,
        MetricKind.MIN: 100.0,
    }.get(goal.metric.kind, 0.0)
    below, above = (float(np.interp(percent, volume, side)) for side in sides)
    return below, above
