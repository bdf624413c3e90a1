"""From an answer to a deliverable plan: the combination's fluence, cut into apertures, refined for what was agreed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import CalculatedDose, CanTakeFluence, ClinicalGoal, Comparator, GoalSet, Plan
from appliance.contracts.navigation import Answer, TradeOffSet, Wish
from appliance.contracts.progress import Progress, silent
from appliance.errors import PlanningError
from appliance.execution.meeting import Met, meet
from appliance.execution.navigation.favouring import holding
from appliance.execution.navigation.surface import same_goal
from appliance.execution.operator import Operator
from appliance.execution.planner import part_of
from appliance.execution.rules import Rules
from appliance.execution.sparing import spare

ROOM = 0.005
"""What a goal that gives way may come to beyond its prediction, as a share of it: its limit while the plan is made."""
SPARING_ROUNDS = 1
"""Rounds of sparing (chosen: the combination is as low already as the plan that it came from)."""


@dataclass(frozen=True, eq=False)
class Realised:
    """values: of the agreed goals by the plan's full dose; hottest_gy: 0.1 cc."""

    plan: Plan
    dose: CalculatedDose
    values: tuple[float, ...]
    hottest_gy: float


def agreed_goals(known: TradeOffSet, wish: Wish, answer: Answer) -> GoalSet:
    """The goal set that the plan is made for: the wish as far as it goes, and weaker limits for what was agreed to give
    way. A wish that no goal is about is one more goal at the end."""
    goals, same = list(known.goal_set.goals), same_goal(known, wish)
    forecasts = {(one.structure, one.metric, one.comparator): one for one in answer.goals}
    for number, goal in enumerate(goals):
        one = forecasts.get((goal.structure, str(goal.metric), goal.comparator.value))
        if one is not None and number != same and not one.met_then:
            goals[number] = replace(goal, limit=_with_room(goal.comparator, one.then))
    limit = wish.limit if answer.reachable else _with_room(wish.comparator, answer.reached)
    if same is None:
        goals.append(ClinicalGoal(wish.structure, wish.metric, wish.comparator, limit, wish.unit, 1, "wish"))
    else:
        goals[same] = replace(goals[same], limit=limit)
    return replace(known.goal_set, goals=tuple(goals))


def realise(operator: Operator, fluence: NDArray[np.float64] | None, progress: Progress = silent) -> Met:
    """operator: of a TPS for the agreed goals. fluence: of its beamlets; None: it makes its own for these goals.
    Bounded by the rounds of `meeting` and SPARING_ROUNDS; best: by a true dose, and the TPS stands there. Raises
    PlanningError."""
    tps, agreed = operator.tps, operator.goal_set
    progress("planner: apertures", 0.0)
    first = tps.initial_objectives()
    if fluence is None:
        state = tps.optimise_fluence(first)
    elif isinstance(tps, CanTakeFluence):
        state = tps.take_fluence(fluence)
    else:
        raise PlanningError("this planning system cannot take a fluence that was found elsewhere")
    operator.seen(first, state)
    objectives = holding(first, agreed, state.goal_values)
    tps.sequence(objectives)
    met = meet(operator, Rules(agreed, first), objectives, part_of(progress, 0.1, 0.7))
    return replace(met, best=spare(operator, met, SPARING_ROUNDS, part_of(progress, 0.7, 1.0)))


def _with_room(comparator: Comparator, value: float) -> float:
    return value * (1 + ROOM if comparator is Comparator.AT_MOST else 1 - ROOM)
