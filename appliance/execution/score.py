"""One number for a plan, to compare two states of the same case while planning."""

from __future__ import annotations

import math

from appliance.contracts import ClinicalGoal, GoalSet, PlanningState
from appliance.execution.rules import hot_shortfall, shortfall

PRIORITY_POINTS = {1: 10.0, 2: 5.0, 3: 2.0}
PARTIAL_UNTIL = 0.10
"""A goal missed by more than this share of its limit earns nothing; closer misses earn up to half (chosen)."""
HOT_POINTS = 10.0
ROOM_POINTS, MOST_ROOM = 0.02, 0.5
"""Credit for room beyond a goal, in units of its points (chosen: never worth a goal)."""
SPARED_POINTS = 0.5
"""The same for an organ: half its dose is worth a quarter of a first-priority goal's points at most (chosen)."""
MU_POINTS = 0.3
"""Cost of one monitor unit for each cGy of a fraction's highest prescription (chosen: a tenth of a C-shape's monitor
units is worth as much as 4 % of its core's dose)."""


def score(goal_set: GoalSet, state: PlanningState, *, room: float = 0.0) -> float:
    """Points for goals met with `room` (relative) by priority, half of them or less for near misses, and for a hot spot
    within its limit; a little for lower organ doses and fewer monitor units, so that of two plans with the same goals
    met the better one wins."""
    total = 0.0
    for goal, value in zip(goal_set.goals, state.goal_values, strict=True):
        points = PRIORITY_POINTS.get(goal.priority, PRIORITY_POINTS[3])
        credit = SPARED_POINTS if is_organ(goal_set, goal) else ROOM_POINTS
        total += points * _share(shortfall(goal, value) + room, credit)
    total += HOT_POINTS * _share(hot_shortfall(goal_set, state.hottest_gy) + room, 0.0)
    return total - (0.0 if math.isnan(state.mu) else MU_POINTS * goal_set.mu_per_cgy(state.mu))


def is_organ(goal_set: GoalSet, goal: ClinicalGoal) -> bool:
    """Whether less dose is better without end: a goal that caps the dose of what is no target."""
    targets = {name for name, _ in goal_set.prescription}
    return goal.caps_dose and not targets & set(goal.structure.split("+"))


def _share(missed: float, credit: float) -> float:
    if missed <= 0:
        return 1.0 + credit * min(-missed, MOST_ROOM)
    return 0.5 * max(0.0, 1.0 - missed / PARTIAL_UNTIL)
