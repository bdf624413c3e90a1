"""Clinical goals to the first list of objectives: the template that the virtual planner starts from."""

from __future__ import annotations

from dataclasses import replace

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, Metric, MetricKind, Objective, ObjectiveKind
from appliance.contracts.objectives import Objectives
from appliance.errors import PlanningError
from appliance.planning.regions import region

PRESCRIPTION_WEIGHT, CEILING_WEIGHT, LOWER_CEILING_WEIGHT = 10.0, 8.0, 8.0
CEILING, LOWER_CEILING = 1.05, 1.06
"""Uniformity of targets: the full prescription from below, and from above 5 % (highest level) or 6 % over it."""
FLOOR, FLOOR_WEIGHT = 0.8, 3.0
"""No part of a target, not even the share that a DVH goal lets go, is left below this share of the goal's dose."""
MINIMUM_WEIGHT = 1200.0
GOAL_WEIGHT = {1: 120.0, 2: 40.0, 3: 60.0}
"""First weights of goals by priority; lower priorities get the last (all chosen on the built-in cases and ten patients
of OpenKBP's training set; the planner changes them as it sees what is missed)."""
HOT_SPOT_WEIGHT = 10000.0
HOT_SPOT_ROOM = 0.03
"""The hot-spot helper begins this share of the highest prescription below the goal set's limit (chosen)."""
FALLOFF_WEIGHT = 4.0
INSIDE, MEAN_INSIDE = 0.985, 0.99
"""An organ's objective asks for this share of the goal's limit, so that the goal is met with room (chosen)."""
TARGET_ABOVE, TARGET_SHARE = 1.006, 0.95
"""A target's minimum objective asks for this share above the goal's limit, and lets only this part of the volume go
that the goal lets go (chosen)."""


def initial_objectives(case: Case, goal_set: GoalSet) -> Objectives:
    """Helpers (coverage and uniformity of each target, fall-off, hot spot) and one objective for each goal. Raises
    PlanningError if the case has none of the prescribed targets."""
    present = [(name, dose) for name, dose in goal_set.prescription if case.structure(name) is not None]
    if not present:
        wanted = ", ".join(name for name, _ in goal_set.prescription)
        raise PlanningError(f"the case has no prescribed target (the goals prescribe to {wanted})")
    present.sort(key=lambda item: -item[1])
    objectives: list[Objective] = []
    higher: list[str] = []
    spared = _spared_organs(case, goal_set)
    for name, dose in present:
        own = "!".join([name, *higher])
        free = "!".join([own, *spared])
        objectives.append(Objective(free, ObjectiveKind.SQUARED_UNDERDOSE, dose * 1.003, PRESCRIPTION_WEIGHT))
        ceiling, weight = (CEILING, CEILING_WEIGHT) if not higher else (LOWER_CEILING, LOWER_CEILING_WEIGHT)
        objectives.append(Objective(own, ObjectiveKind.SQUARED_OVERDOSE, dose * ceiling, weight))
        higher.append(name)
    highest = present[0][1]
    rest = "!".join([case.external.tg263, *(name for name, _ in present)])
    objectives.append(Objective(rest, ObjectiveKind.FALLOFF, highest, FALLOFF_WEIGHT))
    hot = highest * (goal_set.hot_spot_percent / 100 - HOT_SPOT_ROOM)
    body = case.external.tg263
    objectives.append(Objective(body, ObjectiveKind.SQUARED_OVERDOSE, hot, HOT_SPOT_WEIGHT, hot_spot=True))
    for number, goal in enumerate(goal_set.goals):
        objectives += _objectives(_in_percent(_as_hot_volume(goal, case), case), number)
    return tuple(objectives)


def _spared_organs(case: Case, goal_set: GoalSet) -> list[str]:
    """Organs whose goal lies below every prescription. Where a target overlaps them it is held to its own goals, not to
    the full prescription: what a planner does with a cropped optimisation target."""
    lowest = min(dose for _, dose in goal_set.prescription)
    prescribed = {name for name, _ in goal_set.prescription}
    names = []
    for goal in goal_set.goals:
        is_organ = goal.comparator is Comparator.AT_MOST and goal.structure not in prescribed
        if is_organ and goal.unit == "Gy" and goal.limit < lowest and case.structure(goal.structure) is not None:
            names.append(goal.structure)
    return list(dict.fromkeys(names))


def _as_hot_volume(goal: ClinicalGoal, case: Case) -> ClinicalGoal:
    """A CVxGy goal as the VxGy goal that says the same of today's structure: at least 700 cc of 1000 below x Gy are at
    most 300 cc with x Gy."""
    voxels = region(case, goal.structure)
    if goal.metric.kind is not MetricKind.COLD_VOLUME or voxels is None:
        return goal
    whole = 100.0 if goal.unit == "%" else voxels.volume_cc(case.image.grid.voxel_volume_cc)
    opposite = Comparator.AT_MOST if goal.comparator is Comparator.AT_LEAST else Comparator.AT_LEAST
    hot = Metric(MetricKind.VOLUME_AT_DOSE, goal.metric.argument)
    return replace(goal, metric=hot, comparator=opposite, limit=max(whole - goal.limit, 0.0))


def _in_percent(goal: ClinicalGoal, case: Case) -> ClinicalGoal:
    """A VxGy goal in cc as the same goal in percent of today's structure, because DVH objectives speak in percent."""
    voxels = region(case, goal.structure)
    if goal.metric.kind is not MetricKind.VOLUME_AT_DOSE or goal.unit != "cc" or voxels is None:
        return goal
    volume_cc = voxels.volume_cc(case.image.grid.voxel_volume_cc)
    return replace(goal, limit=min(100.0, 100.0 * goal.limit / volume_cc), unit="%")


def _objectives(goal: ClinicalGoal, number: int) -> list[Objective]:
    weight = GOAL_WEIGHT.get(goal.priority, GOAL_WEIGHT[3])
    kind, argument, limit, name = goal.metric.kind, goal.metric.argument, goal.limit, goal.structure
    if goal.comparator is Comparator.AT_LEAST:
        return _at_least(goal, number)
    if kind is MetricKind.MEAN:
        return [Objective(name, ObjectiveKind.MEAN_DOSE, limit * MEAN_INSIDE, weight, goal=number)]
    if kind in (MetricKind.DOSE_AT_PERCENT, MetricKind.VOLUME_AT_DOSE):
        dose_gy = limit if kind is MetricKind.DOSE_AT_PERCENT else argument
        share = argument if kind is MetricKind.DOSE_AT_PERCENT else limit
        volume = share * INSIDE
        return [Objective(name, ObjectiveKind.DVH_MAX, dose_gy * INSIDE, weight, volume_percent=volume, goal=number)]
    return [Objective(name, ObjectiveKind.SQUARED_OVERDOSE, limit * INSIDE, weight * 4, goal=number)]


def _at_least(goal: ClinicalGoal, number: int) -> list[Objective]:
    """The goal's DVH point, and a floor under the share of the volume that the point lets go."""
    kind, argument, name = goal.metric.kind, goal.metric.argument, goal.structure
    dose_gy = argument if kind is MetricKind.VOLUME_AT_DOSE else goal.limit
    floor = Objective(name, ObjectiveKind.SQUARED_UNDERDOSE, dose_gy * FLOOR, FLOOR_WEIGHT)
    wanted = dose_gy * TARGET_ABOVE
    if kind is MetricKind.DOSE_AT_PERCENT or (kind is MetricKind.VOLUME_AT_DOSE and goal.unit == "%"):
        share = argument if kind is MetricKind.DOSE_AT_PERCENT else goal.limit
        volume = 100.0 - (100.0 - share) * TARGET_SHARE
        return [
            Objective(name, ObjectiveKind.DVH_MIN, wanted, MINIMUM_WEIGHT, volume_percent=volume, goal=number),
            floor,
        ]
    if kind is MetricKind.MEAN:
        return [Objective(name, ObjectiveKind.SQUARED_UNDERDOSE, wanted, FLOOR_WEIGHT, goal=number)]
    return [Objective(name, ObjectiveKind.SQUARED_UNDERDOSE, wanted, MINIMUM_WEIGHT, goal=number)]
