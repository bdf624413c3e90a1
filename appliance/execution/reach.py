"""How far the fluence of a case can follow a goal set: the rules of the virtual planner on beamlets, nothing sequenced.

Used to ask "what if this limit were another": goals may be left out or made to yield, and a target whose own coverage
limit was lowered is not held to its old dose by the helpers either."""

from __future__ import annotations

import math
from dataclasses import replace

from appliance.contracts import Comparator, GoalSet, Objective, ObjectiveKind, Objectives, PlanningState
from appliance.contracts.explanation import FluenceTps, Reached
from appliance.execution.rules import Rules, hot_shortfall, shortfall

ROUNDS = 4
"""Rounds at most (chosen: on the C-shape a goal moved by less than 1 % in later ones)."""
ROOM = 0.001
"""Goals are wanted with this room (relative), so that a limit is not missed by rounding."""
HELPERS = 0.25
"""What helpers such as uniformity and fall-off weigh here, of their first weight (chosen: what is asked is how far the
goals go together; without any say of theirs the fluence becomes ragged)."""
PRESS = 4.0
"""A goal that is pressed or steady starts with so many times its first weight (chosen: else rounds are spent on raising
it)."""
STILL, IDLE = 0.002, 2
"""Rounds that improve the shortfall by less than this, and after how many of them in a row it ends."""


class FluenceReoptimiser:
    """Implements contracts.explanation.Reoptimiser on a TPS; goal_set: the case's own, against which limits change."""

    def __init__(self, tps: FluenceTps, goal_set: GoalSet) -> None:
        self._tps, self._own = tps, goal_set

    def __call__(
        self,
        goal_set: GoalSet,
        *,
        ignored: frozenset[int] = frozenset(),
        steady: frozenset[int] = frozenset(),
        pressed: frozenset[int] = frozenset(),
        from_scratch: bool = False,
    ) -> Reached:
        self._tps.aim_at(goal_set)
        if from_scratch:
            self._tps.forget()
        first = self._first(goal_set, ignored, steady | pressed)
        rules = Rules(goal_set, first, ignored | steady, tuple(o for o in first if o.goal in steady))
        objectives, idle, evaluations = first, 0, 0
        found: PlanningState | None = None
        least = (math.inf, math.inf)
        for _ in range(ROUNDS):
            state = self._tps.optimise_fluence(objectives)
            evaluations += state.iterations
            missed = _missed(goal_set, state, ignored | steady), _short(goal_set, state, steady)
            is_better = missed[0] < least[0] - STILL or (missed[0] <= least[0] and missed[1] < least[1] - STILL)
            idle = 0 if is_better else idle + 1
            if missed < least:
                found, least = state, missed
            if missed[0] + missed[1] <= 0 or idle == IDLE:
                break
            objectives = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=ROOM)
        conflicts = self._tps.conflicts(objectives)
        best = state if found is None else found
        return Reached(best.goal_values, best.hottest_gy, evaluations, conflicts)

    def _first(self, goal_set: GoalSet, ignored: frozenset[int], heavy: frozenset[int]) -> Objectives:
        factors = _helper_factors(self._own, goal_set)
        made = []
        for objective in self._tps.initial_objectives():
            if objective.goal in ignored:
                continue
            is_helper = objective.goal < 0 and not objective.hot_spot
            weight = HELPERS if is_helper else PRESS if objective.goal in heavy else 1.0
            made.append(_relaxed(objective.scaled(weight), factors))
        return tuple(made)


def _helper_factors(own: GoalSet, asked: GoalSet) -> dict[tuple[str, Comparator], float]:
    """By target and side, what its limits were multiplied by."""
    factors: dict[tuple[str, Comparator], float] = {}
    for before, now in zip(own.goals, asked.goals, strict=True):
        if before.unit == "Gy" and before.limit > 0 and now.limit != before.limit:
            for part in before.structure.split("+"):
                factors[part, before.comparator] = now.limit / before.limit
    return factors


def _relaxed(objective: Objective, factors: dict[tuple[str, Comparator], float]) -> Objective:
    if objective.goal >= 0 or objective.hot_spot:
        return objective
    side = {
        ObjectiveKind.SQUARED_UNDERDOSE: Comparator.AT_LEAST,
        ObjectiveKind.SQUARED_OVERDOSE: Comparator.AT_MOST,
    }.get(objective.kind)
    factor = 1.0 if side is None else factors.get((objective.structure.split("!")[0], side), 1.0)
    weaker = factor < 1 if side is Comparator.AT_LEAST else factor > 1
    return replace(objective, dose_gy=objective.dose_gy * factor) if weaker else objective


def _missed(goal_set: GoalSet, state: PlanningState, besides: frozenset[int]) -> float:
    """Sum of the relative shortfalls of all goals but those, and of the hot spot."""
    asked = frozenset(range(len(goal_set.goals))) - besides
    return _short(goal_set, state, asked) + max(hot_shortfall(goal_set, state.hottest_gy), 0.0)


def _short(goal_set: GoalSet, state: PlanningState, numbers: frozenset[int]) -> float:
    """Sum of the relative shortfalls of these goals."""
    return sum(max(shortfall(goal_set.goals[i], state.goal_values[i]), 0.0) for i in numbers)
