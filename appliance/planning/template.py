"""Clinical goals to the first list of objectives: the template that the virtual planner starts from."""

from __future__ import annotations

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, MetricKind, Objective, ObjectiveKind
from appliance.contracts.objectives import Objectives

TARGET_WEIGHT = 100.0
GOAL_WEIGHT = {1: 60.0, 2: 20.0, 3: 8.0}
"""First weights of goals by priority; lower priorities get the last (chosen; the planner changes them anyway)."""
HOT_SPOT_WEIGHT = 60.0
FALLOFF_WEIGHT = 12.0
INSIDE = 0.95
"""An organ's objective asks for this share of the goal's limit, so that the goal is met with room (chosen)."""
TARGET_ABOVE = 1.012
"""A target's minimum objective asks for this share above the goal's limit (chosen)."""


def initial_objectives(case: Case, goal_set: GoalSet) -> Objectives:
    """Helpers (coverage and uniformity of each target, fall-off, hot spot) and one objective for each goal."""
    present = [(name, dose) for name, dose in goal_set.prescription if case.structure(name) is not None]
    present.sort(key=lambda item: -item[1])
    objectives: list[Objective] = []
    higher: list[str] = []
    for name, dose in present:
        own = "!".join([name, *higher])
        objectives.append(Objective(own, ObjectiveKind.SQUARED_UNDERDOSE, dose * 1.005, TARGET_WEIGHT))
        ceiling = dose * (1.035 if not higher else 1.06)
        objectives.append(
            Objective(own, ObjectiveKind.SQUARED_OVERDOSE, ceiling, TARGET_WEIGHT * (0.7 if not higher else 0.15))
        )
        higher.append(name)
    highest = present[0][1]
    rest = "!".join([case.external.tg263, *(name for name, _ in present)])
    objectives.append(Objective(rest, ObjectiveKind.FALLOFF, highest, FALLOFF_WEIGHT))
    hot = highest * min(1.06, goal_set.hot_spot_percent / 100 - 0.03)
    objectives.append(Objective(case.external.tg263, ObjectiveKind.SQUARED_OVERDOSE, hot, HOT_SPOT_WEIGHT * 40))
    for number, goal in enumerate(goal_set.goals):
        objectives.append(_objective(goal, number))
    return tuple(objectives)


def _objective(goal: ClinicalGoal, number: int) -> Objective:
    weight = GOAL_WEIGHT.get(goal.priority, GOAL_WEIGHT[3])
    kind, argument, limit = goal.metric.kind, goal.metric.argument, goal.limit
    if goal.comparator is Comparator.AT_LEAST:
        return _at_least(goal, number, weight)
    if kind is MetricKind.MEAN:
        return Objective(goal.structure, ObjectiveKind.MEAN_DOSE, limit * INSIDE, weight, goal=number)
    if kind in (MetricKind.MAX, MetricKind.DOSE_AT_CC):
        return Objective(goal.structure, ObjectiveKind.SQUARED_OVERDOSE, limit * INSIDE, weight * 4, goal=number)
    if kind is MetricKind.DOSE_AT_PERCENT:
        return Objective(
            goal.structure, ObjectiveKind.DVH_MAX, limit * INSIDE, weight, volume_percent=argument * INSIDE, goal=number
        )
    if kind is MetricKind.VOLUME_AT_DOSE:
        share = limit if goal.unit == "%" else 100.0
        return Objective(
            goal.structure, ObjectiveKind.DVH_MAX, argument * INSIDE, weight, volume_percent=share * INSIDE, goal=number
        )
    return Objective(goal.structure, ObjectiveKind.SQUARED_OVERDOSE, limit, weight, goal=number)


def _at_least(goal: ClinicalGoal, number: int, weight: float) -> Objective:
    dose = goal.metric.argument if goal.metric.kind is MetricKind.VOLUME_AT_DOSE else goal.limit
    return Objective(goal.structure, ObjectiveKind.SQUARED_UNDERDOSE, dose * TARGET_ABOVE, weight, goal=number)
