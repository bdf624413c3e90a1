"""Objectives that ask for a dose like another one: a first fluence to go on from, not a plan."""

from __future__ import annotations

from appliance.contracts import Case, GoalSet, Objective, ObjectiveKind, Objectives
from appliance.planning.regions import region

TARGET_WEIGHT, ORGAN_WEIGHT, BODY_WEIGHT = 100.0, 10.0, 10.0
"""Of the mean squared difference in each region (chosen: a target's matters most; large beside the price of unevenness
of the fluence)."""

IMITATION_BUDGET = 40
"""Evaluations (chosen: on two patients 40 were worth more to what followed than 20, and cost half a round)."""


def imitation(case: Case, goal_set: GoalSet) -> Objectives:
    """One objective for each prescribed target, each region of a goal and the body, where the case has them."""
    targets = [name for name, _ in goal_set.prescription]
    weights = dict.fromkeys((goal.structure for goal in goal_set.goals), ORGAN_WEIGHT)
    weights |= dict.fromkeys(targets, TARGET_WEIGHT) | {case.external.tg263: BODY_WEIGHT}
    return tuple(
        Objective(name, ObjectiveKind.SQUARED_DIFFERENCE, 0.0, weight)
        for name, weight in weights.items()
        if region(case, name) is not None
    )
