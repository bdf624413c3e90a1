"""Goals of one structure that no dose at all can meet together: shown, because planning would only trade them.

Every goal is read as a bound on the dose D(v) to the hottest v percent of the volume, which never rises with v: D95% >=
50 and Max <= 45 contradict each other, since D(0) >= D(95). V_x >= p is D(p) >= x; V_x <= p bounds D(v) below x for v >
p; CV_x is 100 % less V_x; the mean is at least v percent of D(v).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from appliance.contracts import ClinicalGoal, Comparator, MetricKind


@dataclass(frozen=True)
class _Bound:
    """D(percent) >= dose_gy, or (upper) <= dose_gy. beyond: an upper bound on every volume larger than percent, not on
    percent itself."""

    percent: float
    dose_gy: float
    upper: bool
    beyond: bool = False


def contradictory(one: ClinicalGoal, other: ClinicalGoal, volume_cc: float) -> bool:
    """Whether no dose can meet both goals on the same structure of volume_cc."""
    bounds = _bound(one, volume_cc), _bound(other, volume_cc)
    lower = next((bound for bound in bounds if bound and not bound.upper), None)
    upper = next((bound for bound in bounds if bound and bound.upper), None)
    if lower is not None and upper is not None and _excluded(lower, upper):
        return True
    means = [goal for goal in (one, other) if goal.metric.kind is MetricKind.MEAN]
    return any(_mean_excluded(mean, other if mean is one else one, volume_cc) for mean in means)


def contradictions(
    goals: Sequence[ClinicalGoal], volumes_cc: dict[str, float]
) -> list[tuple[ClinicalGoal, ClinicalGoal]]:
    """Pairs that contradict each other, on structures whose volume is known."""
    return [
        (one, other)
        for one, other in combinations(goals, 2)
        if one.structure == other.structure
        and one.structure in volumes_cc
        and contradictory(one, other, volumes_cc[one.structure])
    ]


def _excluded(lower: _Bound, upper: _Bound) -> bool:
    if upper.beyond:
        return lower.percent > upper.percent and lower.dose_gy >= upper.dose_gy
    return lower.percent >= upper.percent and lower.dose_gy > upper.dose_gy


def _bound(goal: ClinicalGoal, volume_cc: float) -> _Bound | None:
    """None for a mean, and where a volume in cc is more than the structure has."""
    at_most, kind, argument = goal.comparator is Comparator.AT_MOST, goal.metric.kind, goal.metric.argument
    if kind in (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME):
        share = goal.limit if goal.unit == "%" else 100.0 * goal.limit / volume_cc
        share = 100.0 - share if kind is MetricKind.COLD_VOLUME else share
        known = 0.0 <= share <= 100.0
        return _Bound(share, argument, upper=goal.caps_dose, beyond=goal.caps_dose) if known else None
    percents = {
        MetricKind.DOSE_AT_PERCENT: argument,
        MetricKind.DOSE_AT_CC: 100.0 * argument / volume_cc,
        MetricKind.MAX: 0.0,
        MetricKind.MIN: 100.0,
    }
    percent = percents.get(kind)
    return None if percent is None or percent > 100.0 else _Bound(percent, goal.limit, upper=at_most)


def _mean_excluded(mean: ClinicalGoal, other: ClinicalGoal, volume_cc: float) -> bool:
    if other.metric.kind is MetricKind.MEAN:
        return mean.comparator is not other.comparator and (
            mean.limit < other.limit if mean.comparator is Comparator.AT_MOST else mean.limit > other.limit
        )
    bound = _bound(other, volume_cc)
    if bound is None:
        return False
    if mean.comparator is Comparator.AT_MOST:
        return not bound.upper and mean.limit < bound.percent / 100.0 * bound.dose_gy
    return bound.upper and not bound.beyond and bound.percent == 0.0 and mean.limit > bound.dose_gy
