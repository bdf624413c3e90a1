"""The plans around a result: the middle, which imitates it in the fluence, and one for each goal in question."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import GoalSet, Objectives, PlanningState
from appliance.contracts.navigation import Anchor, NavigableTps, TradeOffSet
from appliance.contracts.progress import Progress, silent
from appliance.errors import PlanningError
from appliance.execution.navigation.favouring import Favouring, holding, worth_favouring
from appliance.execution.navigation.telling import told_of_anchor

MIDDLE, FURTHER = 100, 20
"""Evaluations of the middle, after its imitation, and of each round of another plan, which begins from it."""
LEAST_ROUNDS, ROUNDS = 2, 3
"""Rounds of another plan; those after the first two only while it has lost what it shall not lose."""
MIDDLE_NAME = "the plan"
NOTHING = "no goal is missed or of an organ with dose to spare, so that there is nothing to trade"
NO_TIME = "there was no time to make a plan around this one, so that nothing can be traded yet"


@dataclass(frozen=True, eq=False)
class Result:
    """What trade-offs are sought around. dose_gy (z, y, x) on the image grid; values of the goals by it; missed_for:
    goals in words that planning named as standing against a missed one."""

    plan_digest: str
    dose_gy: NDArray[np.float32]
    values: tuple[float, ...]
    hottest_gy: float
    missed_for: tuple[str, ...] = ()


def trade_off_set(
    tps: NavigableTps,
    goal_set: GoalSet,
    result: Result,
    *,
    progress: Progress = silent,
    enough: Callable[[], bool] = lambda: False,
) -> TradeOffSet:
    """The middle and at most `favouring.MOST_FAVOURED` plans around it, the most important first. enough: asked before
    each plan; True ends with those that there are. Raises PlanningError."""
    first = tps.initial_objectives()
    chosen = worth_favouring(goal_set, result.values, result.missed_for)
    middle = _middle(tps, first, goal_set, result)
    made = [(_anchor(goal_set, -1, middle, None), tps.sampled().dose_gy, tps.fluence_values())]
    begun, around = made[0][2], Favouring(first, goal_set, middle, result.values)
    for place, goal in enumerate(chosen):
        if enough():
            break
        progress("trade-offs", place / len(chosen))
        tps.take_fluence(begun)
        state = _favoured(tps, around, goal)
        made.append((_anchor(goal_set, goal, state, middle), tps.sampled().dose_gy, tps.fluence_values()))
    progress("trade-offs", 1.0)
    why = "" if len(made) > 1 else NO_TIME if chosen else NOTHING
    return _set(tps, goal_set, result, made, why)


def _middle(tps: NavigableTps, first: Objectives, goal_set: GoalSet, result: Result) -> PlanningState:
    """The fluence whose dose is like the plan's, and then as good as it gets for what the plan has."""
    tps.imitate(result.dose_gy)
    return tps.approach(holding(first, goal_set, result.values), MIDDLE)


def _favoured(tps: NavigableTps, around: Favouring, goal: int) -> PlanningState:
    """Coverage and the hot-spot limit come first: while they are lost, they weigh more and less is asked."""
    asked, spent, state = around.of(goal), 0, around.middle
    for number in range(ROUNDS):
        state = tps.approach(asked, FURTHER)
        spent += state.iterations
        lost, broken = around.lost(state), around.broken(state, goal)
        if lost or broken:
            asked = around.firmer(asked, goal, lost, broken)
        elif number + 1 >= LEAST_ROUNDS:
            break
    return replace(state, iterations=spent)


def _anchor(goal_set: GoalSet, goal: int, state: PlanningState, middle: PlanningState | None) -> Anchor:
    values, hottest_gy = state.goal_values, state.hottest_gy
    if not all(math.isfinite(v) or math.isnan(v) for v in (*values, hottest_gy)):
        raise PlanningError("the planning system gave values that are no numbers")
    if middle is None:
        return Anchor(MIDDLE_NAME, goal, values, hottest_gy, state.iterations)
    favoured = goal_set.goals[goal]
    more = "less" if favoured.caps_dose else "more"
    name = f"{more} {favoured.structure} {favoured.metric}"
    sentence = told_of_anchor(goal_set, goal, middle, state)
    return Anchor(name, goal, values, hottest_gy, state.iterations, sentence)


Made = tuple[Anchor, NDArray[np.float32], NDArray[np.float64]]


def _set(tps: NavigableTps, goal_set: GoalSet, result: Result, made: Sequence[Made], why: str) -> TradeOffSet:
    sampled = tps.sampled()
    kept = np.unique(np.concatenate([position for position, _ in sampled.regions.values()]))
    regions = {n: (np.searchsorted(kept, p).astype(np.int64), cc) for n, (p, cc) in sampled.regions.items()}
    return TradeOffSet(
        goal_set=goal_set,
        plan_digest=result.plan_digest,
        plan_values=result.values,
        plan_hottest_gy=result.hottest_gy,
        anchors=tuple(anchor for anchor, _, _ in made),
        external=sampled.external,
        regions=regions,
        plan_dose_gy=tps.at_samples(result.dose_gy)[kept],
        dose_gy=np.stack([dose[kept] for _, dose, _ in made]),
        fluence=np.stack([values for _, _, values in made]).astype(np.float32),
        why=why,
    )
