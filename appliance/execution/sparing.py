"""The last stage: lower organ doses and fewer monitor units, as low as reasonably achievable, without losing a goal.

Goals are limits, and a planner who has met them goes on. In every round each organ's objective asks for a little less
than it has, targets and hot spots are held to their goals with a reserve, and monitor units are scaled to what coverage
needs. Ends after its rounds, each of which is bounded by the evaluations of one `refine`."""

from __future__ import annotations

import math
from dataclasses import replace

from appliance.contracts import ClinicalGoal, MetricKind, Objective, ObjectiveKind, Objectives, PlanningState
from appliance.contracts.progress import Progress
from appliance.execution.meeting import GAIN, Met
from appliance.execution.normalise import scaled
from appliance.execution.operator import Candidate, Operator
from appliance.execution.rules import Rules, shortfall
from appliance.execution.score import is_organ

SPARING_ROUNDS = 4
STEP = 0.08
"""Organs are asked for this share less than they have; half of it after a round that gained nothing (chosen)."""
HARD_STEP, HARD_FROM = 0.25, 0.85
"""Of that step, what is asked of an organ that is as low already as a prediction thought easy, because more costs the
others. Far below that, under this share of it, the prediction was wrong and says nothing (chosen)."""
RESERVE = 0.003
"""Goals are held with this room (relative; chosen: about what estimates of arcs were off by after four rounds)."""
NEAR, RECLAIMS = 0.06, 2
"""Rounds at most, after the others, that try to win back organs' goals missed by less than this share. Other organs
may have what their own goals leave them meanwhile."""
REPAIRS, REPAIR_STEP, LOST = 2, 0.01, 0.5
"""Full calculations at most after the first of the result, where that shows a goal as lost that was counted as met: a
score lower by LOST, which is less than any goal is worth; and what organs are asked to be lowered by meanwhile."""


def spare(operator: Operator, met: Met, rounds: int, progress: Progress) -> Candidate:
    """The best candidate after at most `rounds` rounds and what others won back, judged by a true dose. No organ is
    spared where a goal that was not given up is missed, since effort belongs there first; nothing is won back either
    where more than organs' near misses is missed, without rounds, or where no goal is of an organ."""
    rules = met.rules
    organs = any(is_organ(rules.goal_set, goal) for goal in rules.goal_set.goals)
    best, objectives, step, state = met.best, met.objectives, STEP, met.best.state
    is_free = operator.satisfied(state, 0.0, besides=rules.given_up)
    rounds = rounds if organs else 0
    best.back()
    for number in range(rounds if is_free else 0):
        progress("planner: sparing", number / (rounds + RECLAIMS))
        objectives = wishes(rules, objectives, state, step)
        state = operator.refine(objectives)
        best, better = _better(operator, state, best)
        step = step if better else step / 2
    progress("planner: final dose", rounds / (rounds + RECLAIMS))
    proven = _proven(operator, best, met.best, rules, objectives)
    best, state = proven, proven.state
    for number in range(RECLAIMS if rounds else 0):
        near = near_misses(rules, best.state)
        if not near or not (is_free or operator.satisfied(best.state, 0.0, besides=rules.given_up | near)):
            break
        progress("planner: winning back", (rounds + number) / (rounds + RECLAIMS))
        objectives = reclaiming(rules, objectives, state, near)
        state = operator.refine(objectives)
        best, _ = _better(operator, state, best)
    return proven if best is proven else _proven(operator, best, proven, rules, objectives)


def _better(operator: Operator, state: PlanningState, best: Candidate) -> tuple[Candidate, bool]:
    """The plan as it stands, with what its monitor units should be scaled by, if it scores better with a reserve."""
    factor = operator.factor(state, room=RESERVE)
    wanted = scaled(operator.goal_set, state, factor)
    if operator.score(wanted, room=RESERVE) > operator.score(best.state, room=_reserve(best)) + GAIN:
        return operator.kept(state, factor), True
    return best, False


def near_misses(rules: Rules, state: PlanningState) -> frozenset[int]:
    """Organs' goals that are missed by a little."""
    goals = zip(rules.goal_set.goals, state.goal_values, strict=True)
    return frozenset(
        i for i, (goal, v) in enumerate(goals) if is_organ(rules.goal_set, goal) and 0 < shortfall(goal, v) < NEAR
    )


def reclaiming(rules: Rules, objectives: Objectives, state: PlanningState, near: frozenset[int]) -> Objectives:
    """Full weight on the organs' goals nearly met; of other organs only their goals are asked."""
    goals = rules.goal_set.goals
    adjusted = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=RESERVE)
    return tuple(
        first
        if o.goal in near or (o.goal >= 0 and o.goal not in rules.given_up and is_organ(rules.goal_set, goals[o.goal]))
        else o
        for o, first in zip(adjusted, rules.first, strict=True)
    )


def wishes(rules: Rules, objectives: Objectives, state: PlanningState, step: float) -> Objectives:
    """Objectives of the next round: the planner's habits for targets, helpers and hot spots; organs below what they
    have."""
    adjusted = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=RESERVE)
    wished = []
    for objective, first in zip(adjusted, rules.first, strict=True):
        value = state.goal_values[objective.goal] if objective.goal >= 0 else math.nan
        if math.isnan(value) or not is_organ(rules.goal_set, rules.goal_set.goals[objective.goal]):
            wished.append(objective)
        else:
            hard = HARD_FROM * (easy := rules.easy.get(objective.goal, 0.0)) <= value <= easy
            less = step * HARD_STEP if hard else step
            wished.append(lowered(first, value, rules.goal_set.goals[objective.goal], less))
    return tuple(wished)


def lowered(first: Objective, value: float, goal: ClinicalGoal, step: float) -> Objective:
    """The objective asking for this share less of its goal than `value`, with its first weight."""
    if goal.unit == "Gy":
        return replace(first, dose_gy=value * (1 - step))
    if first.kind is ObjectiveKind.DVH_MAX and goal.unit == "%":
        hot = 100.0 - value if goal.metric.kind is MetricKind.COLD_VOLUME else value
        return replace(first, volume_percent=min(first.volume_percent, hot * (1 - step)))
    return first


def _reserve(candidate: Candidate) -> float:
    return 0.0 if candidate.judged else RESERVE


def _proven(operator: Operator, best: Candidate, before: Candidate, rules: Rules, objectives: Objectives) -> Candidate:
    """`best` by a true dose; mended where that shows a goal as lost that was counted as met, by its monitor units or
    else by one more round. `before` where that is better after all. The TPS stands at what is returned."""
    proven = operator.true(best)
    for _ in range(REPAIRS):
        if operator.score(proven.state) > operator.score(best.state) - LOST:
            break
        factor = operator.factor(proven.state)
        if factor == 1.0:
            state = operator.refine(wishes(rules, objectives, proven.state, REPAIR_STEP))
            again = operator.true(operator.kept(state, operator.factor(state, room=RESERVE)))
        else:
            again = operator.true(operator.kept(proven.state, factor))
        if operator.score(again.state) > operator.score(proven.state):
            proven = again
        else:
            break
    if before is not best and operator.score(before.state) > operator.score(proven.state) + GAIN:
        earlier = operator.true(before)
        proven = earlier if operator.score(earlier.state) > operator.score(proven.state) else proven
    proven.back()
    return proven
