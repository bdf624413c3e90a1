"""Goals that cannot hold together: on paper (refused), or because an organ lies in a target (said in words)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, MetricKind
from appliance.evaluation.contradictions import contradictory
from engines.grid import VoxelSet

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
