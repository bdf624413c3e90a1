"""One number for a plan, to compare two states of the same case while planning."""

from __future__ import annotations

from appliance.contracts import GoalSet, PlanningState
from appliance.execution.rules import hot_shortfall, shortfall

PRIORITY_POINTS = {1: 10.0, 2: 5.0, 3: 2.0}
PARTIAL_UNTIL = 0.10
"""A goal missed by more than this share of its limit earns nothing; closer misses earn up to half (chosen)."""
HOT_POINTS = 5.0


def score(goal_set: GoalSet, state: PlanningState) -> float:
    """Points for met goals by priority, half of them or less for near misses, and for a hot spot within its limit; a
    little for every bit of room, so that of two plans with the same goals met the better one wins."""
    total = 0.0
    for goal, value in zip(goal_set.goals, state.goal_values, strict=True):
        points = PRIORITY_POINTS.get(goal.priority, PRIORITY_POINTS[3])
        total += points * _share(shortfall(goal, value))
    return total + HOT_POINTS * _share(hot_shortfall(goal_set, state.hottest_gy))


def _share(missed: float) -> float:
    if missed <= 0:
        return 1.0 + 0.02 * min(-missed, 0.5)
    return 0.5 * max(0.0, 1.0 - missed / PARTIAL_UNTIL)
