"""The monitor-unit factor that meets most goals: all doses scale with it, so it can be worked out without a TPS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.contracts import GoalSet, PlanningState
from appliance.execution.score import score

SMALLEST, LARGEST, STEPS = 0.97, 1.03, 121
"""Range and number of factors tried (chosen: beyond 3 % the plan should be optimised again, not scaled)."""
WORTH = 0.2
"""Points that a factor must gain while goals are missed: a tenth of the lightest goal's (chosen)."""


def best_factor(goal_set: GoalSet, state: PlanningState, *, room: float = 0.0, worth: float = WORTH) -> float:
    """The factor with the best score; of equal ones the nearest to 1. Goals in Gy scale; volume goals (VxGy) are taken
    as unchanged, which holds for such small factors away from a cliff of the DVH, and the plan is judged again anyway.
    """
    factors = np.linspace(SMALLEST, LARGEST, STEPS)
    scored = [
        (round(score(goal_set, scaled(goal_set, state, float(f)), room=room), 6), -abs(float(f) - 1), float(f))
        for f in factors
    ]
    points, _, factor = max(scored)
    return factor if points > score(goal_set, state, room=room) + worth else 1.0


def scaled(goal_set: GoalSet, state: PlanningState, factor: float) -> PlanningState:
    """The state after all monitor units times a factor."""
    values = tuple(
        value * factor if goal.unit == "Gy" else value
        for goal, value in zip(goal_set.goals, state.goal_values, strict=True)
    )
    return replace(state, goal_values=values, hottest_gy=state.hottest_gy * factor, mu=state.mu * factor)
