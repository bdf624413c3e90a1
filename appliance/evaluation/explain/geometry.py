"""Reasons that need no optimising: overlap with targets, distance and fall-off, a target under the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, MetricKind
from appliance.contracts.explanation import Reason
from appliance.evaluation.judged import union_of
from engines.explain import Demand, FallOff, fall_off, forced, least_metric, overlap_cc
from engines.grid import VoxelSet

BUILD_UP_MM = 5.0
"""Dose of a photon beam is still rising here; a target this near the skin cannot be covered everywhere (chosen: a third
of the depth of the maximum at 6 MV)."""
WORTH_NAMING = 0.02
"""A part of a structure smaller than this share is not named as a reason (chosen)."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """floor: least value of the goal's metric that coverage forces; None where the metric is not bounded by it."""

    cc: float
    percent: float
    targets: tuple[str, ...]
    floor: float | None
    demands: tuple[str, ...]


def coverage_goals(goal_set: GoalSet) -> tuple[ClinicalGoal, ...]:
    """Goals that demand dose."""
    return tuple(
        goal for goal in goal_set.goals if goal.comparator is Comparator.AT_LEAST and _demand(goal) is not None
    )


def _demand(goal: ClinicalGoal) -> tuple[float, float] | None:
    """(level_gy, share of the structure that may have less) of a coverage goal; None for one of another form."""
    kind, argument = goal.metric.kind, goal.metric.argument
    if kind is MetricKind.DOSE_AT_PERCENT:
        return goal.limit, 1 - argument / 100
    if kind is MetricKind.VOLUME_AT_DOSE and goal.unit == "%":
        return argument, 1 - goal.limit / 100
    if kind is MetricKind.MIN:
        return goal.limit, 0.0
    return None


def overlap(case: Case, goal_set: GoalSet, goal: ClinicalGoal) -> Overlap | None:
    """None where the goal's structure has no part in a target with a coverage goal."""
    voxel_cc, organ = case.image.grid.voxel_volume_cc, union_of(case, goal.structure)
    demands, named, asked = [], [], []
    whole: VoxelSet | None = None
    for coverage in coverage_goals(goal_set):
        target, wanted = union_of(case, coverage.structure), _demand(coverage)
        if wanted is None or overlap_cc(organ, target, voxel_cc) <= 0:
            continue
        level, spared = wanted
        demands.append(Demand(target, level, spared * target.volume_cc(voxel_cc)))
        named.append(coverage.structure)
        asked.append(str(coverage))
        whole = target if whole is None else whole.union(target)
    if whole is None:
        return None
    total = organ.volume_cc(voxel_cc)
    levels = forced(organ, demands, voxel_cc)
    floor = least_metric(goal.metric.kind.value, goal.metric.argument, levels, total, unit=goal.unit)
    cc = overlap_cc(organ, whole, voxel_cc)
    return Overlap(cc, 100 * cc / total, tuple(dict.fromkeys(named)), floor, tuple(asked))


def overlap_reason(found: Overlap, goal: ClinicalGoal) -> Reason | None:
    """None where neither the volume nor the floor is worth a word."""
    if found.percent < 100 * WORTH_NAMING and not found.floor:
        return None
    where = " and ".join(found.targets)
    words = f"{found.cc:.1f} cc ({found.percent:.0f} %) of {goal.structure} lie inside {where}"
    numbers = [("overlap", found.cc, "cc"), ("overlap", found.percent, "%")]
    if found.floor:
        numbers.append(("floor forced by coverage", found.floor, goal.unit))
        verdict = "above" if found.floor > goal.limit else "below"
        words += (
            f"; coverage ({', '.join(found.demands)}) alone forces {goal.metric} to {found.floor:.1f} {goal.unit} or "
            f"more, {verdict} the limit of {goal.limit:g} {goal.unit}"
        )
    return Reason("overlap", words, tuple(numbers))


def needed_coverage(case: Case, goal_set: GoalSet, goal: ClinicalGoal) -> str | None:
    """Where the overlap alone forbids the goal: how far coverage would have to give, if only one target demands it;
    None where the overlap does not forbid it.

    The floor under a mean grows in proportion to the demanded dose; that under a near-maximum is the demanded dose."""
    if goal.comparator is not Comparator.AT_MOST or goal.structure in dict(goal_set.prescription):
        return None
    found = overlap(case, goal_set, goal)
    if found is None or found.floor is None or found.floor <= goal.limit:
        return None
    told = "no change of another organ's goal can help, because coverage of the overlap alone forbids it"
    demanding = [one for one in coverage_goals(goal_set) if str(one) in found.demands]
    if len(demanding) != 1 or goal.metric.kind is MetricKind.VOLUME_AT_DOSE:
        return told
    (only,), is_mean = demanding, goal.metric.kind is MetricKind.MEAN
    level = (_demand(only) or (0.0, 0.0))[0]
    needed_gy = level * goal.limit / found.floor if is_mean else goal.limit
    return f"{told}: what {only.structure} demands would have to fall from {level:g} to {needed_gy:.1f} Gy or less"


def gradient(case: Case, goal_set: GoalSet, goal: ClinicalGoal, dose_gy: NDArray[np.float32]) -> FallOff | None:
    """None for goals whose metric is no dose, and where no target has a coverage goal."""
    covered = [goal.structure for goal in coverage_goals(goal_set)]
    if not covered:
        return None
    targets = union_of(case, "+".join(covered))
    organ, voxel_cc = union_of(case, goal.structure), case.image.grid.voxel_volume_cc
    total = organ.volume_cc(voxel_cc)
    kind, argument = goal.metric.kind, goal.metric.argument
    exempt = {
        MetricKind.DOSE_AT_PERCENT: argument / 100,
        MetricKind.DOSE_AT_CC: min(1.0, argument / total),
        MetricKind.VOLUME_AT_DOSE: min(1.0, goal.limit / (100.0 if goal.unit == "%" else total)),
        MetricKind.MEAN: 0.5,
    }.get(kind, 0.0)
    return fall_off(organ, targets, case.external.voxels, dose_gy, case.image.grid, exempt=exempt)


def distance_reason(found: FallOff, goal: ClinicalGoal, prescribed_gy: float) -> Reason:
    """What fall-off the limit asks for, beside the steepest that this dose has at that distance."""
    limit_gy = goal.metric.argument if goal.metric.kind is MetricKind.VOLUME_AT_DOSE else goal.limit
    part = {
        MetricKind.DOSE_AT_PERCENT: f"all but {goal.metric.argument:g} % of it",
        MetricKind.DOSE_AT_CC: f"all but {goal.metric.argument:g} cc of it",
        MetricKind.VOLUME_AT_DOSE: f"all but {goal.limit:g} {goal.unit} of it",
        MetricKind.MEAN: "half of it",
    }.get(goal.metric.kind, "all of it")
    words = (
        f"{goal.structure} begins {found.nearest_mm:.0f} mm from the target's border and {part} lies {found.at_mm:.0f} "
        f"mm or more away; there the dose would have to be {limit_gy:g} Gy "
        f"({100 * limit_gy / prescribed_gy:.0f} % of {prescribed_gy:g} Gy), while on the steepest tenth of this plan's "
        f"surroundings it falls to {found.steep_gy:.1f} Gy at that distance (median {found.middle_gy:.1f} Gy)"
    )
    if found.steep_gy <= limit_gy:
        words += "; so the distance alone would allow it"
    numbers = (
        ("nearest distance", found.nearest_mm, "mm"),
        ("distance of the part that counts", found.at_mm, "mm"),
        ("steepest tenth at that distance", found.steep_gy, "Gy"),
        ("median at that distance", found.middle_gy, "Gy"),
    )
    return Reason("distance", words, numbers)


def build_up_reason(case: Case, goal: ClinicalGoal) -> Reason | None:
    """For goals that demand dose: how much of the structure lies in the build-up under the skin."""
    grid, target = case.image.grid, union_of(case, goal.structure)
    depth = distance_transform_edt(case.external.voxels.mask(grid.shape), sampling=grid.spacing_mm[::-1]).reshape(-1)
    under = target.fraction[depth[target.index] <= BUILD_UP_MM].sum(dtype=np.float64)
    percent = 100 * float(under) / float(target.fraction.sum(dtype=np.float64))
    if percent < 100 * WORTH_NAMING:
        return None
    words = f"{percent:.0f} % of {goal.structure} lies within {BUILD_UP_MM:g} mm of the skin, where dose builds up"
    return Reason("build-up", words, (("within the build-up", percent, "%"),))
