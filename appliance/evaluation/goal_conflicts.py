"""Goals that cannot hold together: on paper (refused), or because an organ lies in a target (said in words).

A cumulative dose-volume histogram only falls, so the dose that p % of a volume receive at least, D_p%, only falls as p
grows, from Max (p = 0) to Min (p = 100). Every pair of limits on one structure that this rules out is a contradiction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, MetricKind
from engines.grid import VoxelSet

SMALLEST_OVERLAP_CC = 0.05
"""Below this an overlap is the rasterisation of two touching contours (chosen: about two voxels of 3 mm)."""


@dataclass(frozen=True)
class _Point:
    """A limit as a point of the histogram: `percent` of the volume, `dose_gy`. A lower limit wants the curve to pass
    above the point, an upper one below."""

    percent: float
    dose_gy: float
    goal: ClinicalGoal


def contradictions(goals: Sequence[ClinicalGoal]) -> tuple[str, ...]:
    """A sentence for each pair of goals on one structure that no dose can meet: a lower limit above an upper one of the
    same metric, or at a larger share of the volume. Limits by volume in cc are compared only with the same metric."""
    found = []
    by_structure: dict[str, list[ClinicalGoal]] = {}
    for goal in goals:
        by_structure.setdefault(goal.structure, []).append(goal)
    for same in by_structure.values():
        lower = [goal for goal in same if goal.comparator is Comparator.AT_LEAST]
        upper = [goal for goal in same if goal.comparator is Comparator.AT_MOST]
        for low in lower:
            found += [f"'{low}' and '{high}' cannot both hold" for high in upper if _exclude(low, high)]
    return tuple(found)


def _exclude(low: ClinicalGoal, high: ClinicalGoal) -> bool:
    if (low.metric, low.unit, low.relative) == (high.metric, high.unit, high.relative):
        return low.limit > high.limit
    if low.unit == "%Rx" or high.unit == "%Rx":
        if low.unit != high.unit:
            return False
    elif low.relative or high.relative:
        return False
    below, above = _point(low), _point(high)
    if below is None or above is None:
        return False
    return above.percent <= below.percent and above.dose_gy < below.dose_gy


def _point(goal: ClinicalGoal) -> _Point | None:
    kind = goal.metric.kind
    if kind is MetricKind.MAX:
        return _Point(0.0, goal.limit, goal)
    if kind is MetricKind.MIN:
        return _Point(100.0, goal.limit, goal)
    if kind is MetricKind.DOSE_AT_PERCENT:
        return _Point(goal.metric.argument, goal.limit, goal)
    if kind is MetricKind.MEAN and goal.comparator is Comparator.AT_LEAST:
        return _Point(0.0, goal.limit, goal)
    if kind is MetricKind.MEAN:
        return _Point(100.0, goal.limit, goal)
    if kind is MetricKind.VOLUME_AT_DOSE and goal.unit == "%":
        return _Point(goal.limit, goal.metric.argument, goal)
    return None


def overlap_notes(goal_set: GoalSet, case: Case) -> tuple[str, ...]:
    """One sentence for each upper limit on an organ that its overlap with a prescribed target rules out where the
    target has its dose: by how much of the organ, and what has to give way. The goals are kept; a person decides."""
    notes = []
    for goal in goal_set.goals:
        if goal.comparator is not Comparator.AT_MOST or "+" in goal.structure:
            continue
        organ = case.structure(goal.structure)
        if organ is None or organ.voxels.empty or goal.structure in dict(goal_set.prescription):
            continue
        for target, prescribed_gy in sorted(goal_set.prescription, key=lambda entry: -entry[1]):
            note = _overlap_note(goal, case, target, prescribed_gy)
            if note:
                notes.append(note)
                break
    return tuple(notes)


def _overlap_note(goal: ClinicalGoal, case: Case, target: str, prescribed_gy: float) -> str:
    organ, volume = case.structure(goal.structure), case.structure(target)
    if organ is None or volume is None:
        return ""
    voxel_cc = case.image.grid.voxel_volume_cc
    inside_cc, whole_cc = _overlap_cc(organ.voxels, volume.voxels, voxel_cc), organ.voxels.volume_cc(voxel_cc)
    if inside_cc < SMALLEST_OVERLAP_CC or not _ruled_out(goal, inside_cc, whole_cc, prescribed_gy):
        return ""
    return (
        f"'{goal}' and {prescribed_gy:g} Gy to {target} cannot both be had: {inside_cc:.1f} cc of {goal.structure} "
        f"({100.0 * inside_cc / whole_cc:.0f} %) lie inside {target}. Either that part of the target is given less, or "
        "the limit is exceeded: a physician decides which"
    )


def _overlap_cc(one: VoxelSet, other: VoxelSet, voxel_cc: float) -> float:
    """At most: where both fill part of a voxel, the smaller part counts."""
    _, first, second = np.intersect1d(one.index, other.index, assume_unique=True, return_indices=True)
    return float(np.minimum(one.fraction[first], other.fraction[second]).sum(dtype=np.float64)) * voxel_cc


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
