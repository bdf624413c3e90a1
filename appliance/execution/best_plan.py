"""The best deliverable plan so far: whole, with its dose, so that it needs nothing more of the planning system."""

from __future__ import annotations

import math
from dataclasses import dataclass

from appliance.contracts import CalculatedDose, GoalSet, Plan, PlanningState
from appliance.execution.operator import Candidate
from appliance.execution.rules import hot_shortfall
from appliance.execution.steering.episode import Scorer


@dataclass(frozen=True, eq=False)
class Deliverable:
    """candidate: the way back to it."""

    candidate: Candidate
    plan: Plan
    dose: CalculatedDose

    @property
    def state(self) -> PlanningState:
        return self.candidate.state


def goals_met(goal_set: GoalSet, state: PlanningState) -> int:
    pairs = zip(goal_set.goals, state.goal_values, strict=True)
    return sum(goal.met_by(value) for goal, value in pairs if not math.isnan(value))


def rank(goal_set: GoalSet, scorer: Scorer, state: PlanningState) -> tuple[bool, int, float]:
    """Higher is better: the hot-spot limit first, then goals met, then the scorecard's score. So what is kept never
    meets fewer goals than an earlier plan that kept the limit as well."""
    is_cool = hot_shortfall(goal_set, state.hottest_gy) <= 0
    return is_cool, goals_met(goal_set, state), scorer(state.goal_values)
