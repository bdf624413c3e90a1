"""What a planner does by habit: look at the goals, push what is missed, release what is easily met.

The habits are the published ones of manual inverse planning: raise the weight of a missed goal in proportion to how far
it is missed, tighten its dose when weight alone no longer moves it, and give slack back where a goal is met with room.
"""

from __future__ import annotations

import math
from dataclasses import replace

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, Objective, ObjectiveKind, Objectives

ROOM = 0.004
"""A goal counts as safely met this far (relative) inside its limit; covers rounding and the next stage's losses."""
COMFORT = 0.06
"""Beyond this much room a goal's weight is lowered again."""
LARGEST_FACTOR, SMALLEST_FACTOR = 2.5, 0.85
PUSH, PUSH_PER_MISS = 1.25, 20.0
"""A missed goal's weight grows by 1.25 and by another 20 % for each percent that it is missed by (chosen: faster growth
makes the merit stiff and the optimiser slow)."""
LARGEST_WEIGHT, SMALLEST_WEIGHT = 2.0e4, 0.5
TIGHTEN_PER_ROUND, TIGHTEST = 0.01, 0.90
"""An organ's objective dose goes down by this share a round, at most to this share of the goal's limit."""
RAISE_PER_ROUND, HIGHEST = 0.003, 1.02
"""The same for a target's minimum dose."""
HOT_ROOM = 0.015
"""The hot-spot helper is pushed when the hottest 0.1 cc is closer to its limit than this."""


def shortfall(goal: ClinicalGoal, value: float) -> float:
    """Relative miss of a goal: positive where it is missed, negative where it is met; 0 for an absent structure."""
    if math.isnan(value):
        return 0.0
    scale = max(abs(goal.limit), 1e-6)
    difference = value - goal.limit if goal.comparator is Comparator.AT_MOST else goal.limit - value
    return difference / scale


def adjust(
    objectives: Objectives, goal_set: GoalSet, values: tuple[float, ...], hottest_gy: float, room: float
) -> Objectives:
    """The next list of objectives, given each goal's present value and the hottest 0.1 cc."""
    highest_gy = max(dose for _, dose in goal_set.prescription)
    hot = hottest_gy / (highest_gy * goal_set.hot_spot_percent / 100) - 1 + HOT_ROOM
    changed = []
    for objective in objectives:
        if objective.goal >= 0:
            goal = goal_set.goals[objective.goal]
            changed.append(_push(objective, goal, shortfall(goal, values[objective.goal]) + room))
        elif objective.kind is ObjectiveKind.SQUARED_OVERDOSE and hot > 0:
            changed.append(_weigh(objective, 1 + min(2.0, 40 * hot)))
        else:
            changed.append(objective)
    return tuple(changed)


def _weigh(objective: Objective, factor: float) -> Objective:
    return replace(objective, weight=min(max(objective.weight * factor, SMALLEST_WEIGHT), LARGEST_WEIGHT))


def _push(objective: Objective, goal: ClinicalGoal, need: float) -> Objective:
    if need < -COMFORT:
        return _weigh(objective, SMALLEST_FACTOR)
    if need <= 0:
        return objective
    pushed = _weigh(objective, min(LARGEST_FACTOR, PUSH + PUSH_PER_MISS * need))
    if goal.comparator is Comparator.AT_LEAST:
        return replace(pushed, dose_gy=min(objective.dose_gy * (1 + RAISE_PER_ROUND), _dose_limit(goal) * HIGHEST))
    return replace(pushed, dose_gy=max(objective.dose_gy * (1 - TIGHTEN_PER_ROUND), _dose_limit(goal) * TIGHTEST))


def _dose_limit(goal: ClinicalGoal) -> float:
    """The dose that a goal speaks of: its limit, or the dose level of a VxGy goal."""
    return goal.limit if goal.unit == "Gy" else goal.metric.argument
