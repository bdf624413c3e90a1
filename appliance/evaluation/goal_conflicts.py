"""Goals that cannot hold together: on paper (refused), or because an organ lies in a target (said in words)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from appliance.contracts import Case, ClinicalGoal, Comparator, Finding, GoalSet, MetricKind
from appliance.errors import EvaluationError
from appliance.evaluation.contradictions import contradictory
from appliance.evaluation.goal_findings import overlapping
from appliance.evaluation.judged import Region, Regions

SMALLEST_OVERLAP_CC = 0.05
"""Below this an overlap is the rasterisation of two touching contours (chosen: about two voxels of 3 mm)."""

_ANY_CC = 100.0
"""Volume handed on where no goal of the pair is in cc, so that it does not count."""


def sure_contradictions(goals: Sequence[ClinicalGoal]) -> tuple[str, ...]:
    """A sentence for each pair of goals on one structure that no dose can meet, whatever the structure's volume. Pairs
    that contradict each other only on a patient's volumes become findings of the evaluation."""
    return tuple(
        f"'{one}' and '{other}' cannot both hold"
        for one, other in combinations(goals, 2)
        if one.structure == other.structure and _surely(one, other)
    )


def _surely(one: ClinicalGoal, other: ClinicalGoal) -> bool:
    if (one.metric, one.unit, one.relative) == (other.metric, other.unit, other.relative):
        low, high = (one, other) if one.comparator is Comparator.AT_LEAST else (other, one)
        return low.comparator is not high.comparator and low.limit > high.limit
    in_cc = any(goal.unit == "cc" or goal.metric.kind is MetricKind.DOSE_AT_CC for goal in (one, other))
    return not in_cc and one.relative == other.relative and contradictory(one, other, _ANY_CC)


def overlap_findings(goal_set: GoalSet, case: Case, regions: Regions | None = None) -> tuple[Finding, ...]:
    """One for each upper limit on an organ that its overlap with a prescribed target rules out where the target has its
    dose: how much of the organ, and what has to give way. The goals are kept; a person decides. regions: prepared
    already for `case`. Goals on absent structures are passed over."""
    overlaps = _Overlaps(Regions(case) if regions is None else regions)
    targets = sorted(goal_set.prescription, key=lambda entry: -entry[1])
    prescribed = dict(goal_set.prescription)
    found = []
    for goal in goal_set.goals:
        if goal.comparator is not Comparator.AT_MOST or any(part in prescribed for part in goal.structure.split("+")):
            continue
        for target, prescribed_gy in targets:
            inside_cc, whole_cc = overlaps.cc(goal.structure, target)
            if inside_cc >= SMALLEST_OVERLAP_CC and _ruled_out(goal, inside_cc, whole_cc, prescribed_gy):
                found.append(overlapping(goal, target, prescribed_gy, inside_cc, whole_cc))
                break
    return tuple(found)


class _Overlaps:
    """Shared volumes of organs and targets, each pair computed once."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._known: dict[tuple[str, str], tuple[float, float]] = {}

    def cc(self, organ: str, target: str) -> tuple[float, float]:
        """(organ inside the target, whole organ); zeros where one is absent. At most: where both fill part of a voxel,
        the smaller part counts."""
        if (organ, target) not in self._known:
            try:
                one, other = self._regions.region(organ), self._regions.region(target)
            except EvaluationError:
                self._known[organ, target] = 0.0, 0.0
            else:
                self._known[organ, target] = _shared_cc(one, other), float(one.cc.sum(dtype=np.float64))
        return self._known[organ, target]


def _shared_cc(one: Region, other: Region) -> float:
    """Positions ascend, so those of the smaller region are looked up in the larger."""
    small, large = (one, other) if one.index.size <= other.index.size else (other, one)
    place = np.searchsorted(large.index, small.index)
    place[place == large.index.size] = 0
    both = large.index[place] == small.index
    return float(np.minimum(large.cc[place[both]], small.cc[both]).sum(dtype=np.float64))


def _ruled_out(goal: ClinicalGoal, inside_cc: float, whole_cc: float, prescribed_gy: float) -> bool:
    """Whether the goal is missed as soon as the overlap has the prescribed dose, whatever the rest of the organ has."""
    kind, argument, percent = goal.metric.kind, goal.metric.argument, 100.0 * inside_cc / whole_cc
    too_high = prescribed_gy > goal.limit
    if kind is MetricKind.MAX:
        return too_high
    if kind is MetricKind.DOSE_AT_CC:
        return too_high and inside_cc > argument
    if kind is MetricKind.DOSE_AT_PERCENT:
        return too_high and percent > argument
    if kind is MetricKind.MEAN:
        return prescribed_gy * percent / 100.0 > goal.limit
    if kind is MetricKind.VOLUME_AT_DOSE:
        return prescribed_gy >= argument and (inside_cc if goal.unit == "cc" else percent) > goal.limit
    return False
