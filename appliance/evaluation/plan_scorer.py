"""The scorecard's score from goal values alone, for a planner that has values and no judgement yet."""

from __future__ import annotations

import math
from collections.abc import Callable

from appliance.contracts import GoalSet
from appliance.errors import EvaluationError
from appliance.evaluation.scoring import max_score, score, score_curve


def plan_scorer(goal_set: GoalSet) -> Callable[[tuple[float, ...]], float]:
    """A function of one value for each goal, in the goal's unit and order, NaN where its structure is absent: the sum
    of the scores in percent of the most that these goals can give. On the values that `GoalEvaluator.judge` finds it
    equals its `plan_score` exactly; a goal that is not judged there (a minimum dose of a structure smaller than the
    volume it speaks of) has to be NaN.

    Raises RefusedGoals for curves that contradict their goal. The function raises EvaluationError for another number
    of values than goals, and where every value is NaN."""
    targets = frozenset(name for name, _ in goal_set.prescription)
    curves = [score_curve(goal, targets) for goal in goal_set.goals]
    most = [max_score(curve) for curve in curves]

    def percent(values: tuple[float, ...]) -> float:
        if len(values) != len(curves):
            raise EvaluationError(f"{len(values)} values were given for the {len(curves)} goals of {goal_set.name}")
        judged = [number for number, value in enumerate(values) if not math.isnan(value)]
        if not judged:
            raise EvaluationError(f"none of the goals of {goal_set.name} has a value that could be judged")
        reached = sum(score(curves[number], values[number]) for number in judged)
        return 100.0 * reached / sum(most[number] for number in judged)

    return percent
