"""Rounds on the apertures until every goal is met, or nothing gains any more."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.contracts import Objectives, PlanningState
from appliance.contracts.progress import Progress
from appliance.execution.concede import goal_to_give_up
from appliance.execution.normalise import scaled
from appliance.execution.operator import Candidate, Operator
from appliance.execution.rules import Rules, hot_shortfall, shortfall

ROUNDS = 12
"""Rounds at most (chosen: with those after a goal was given up; without that, eight were rarely used)."""
ROOM = 0.003
"""Goals are wanted with this room (relative), because the last step moves on from an estimate."""
IDLE_ROUNDS = 2
"""After so many rounds in a row without progress a goal is given up, or planning stops (chosen: weights quadruple in
that time, so a third would only repeat them)."""
NEAR, NEAR_ROUNDS = 0.02, 2
"""Where nothing is missed by NEAR (relative) or more, any better candidate is progress, and so many rounds more may be
idle (chosen: the TG-119 multi-target case with the learned policy's objectives missed the lowest target's D10 % by 1 %
after two idle rounds, by half of that after four, and met it in the round after)."""
EARLY = 0.025
"""A goal foreseen as out of reach is given up without rounds of pushing only if it, or what it stands against, is
missed by more than this (chosen: three rounds in the fluence gained 1 % of coverage on OpenKBP 34, where that was
enough, and 2 % on 197, where 4.5 % were wanted)."""
GAIN, PROGRESS = 0.01, 0.25
"""A better candidate scores more by GAIN (chosen: far below the points of a goal); one that is progress, by PROGRESS: a
first-priority goal's shortfall of 0.5 %, or a tenth of what the lightest goal is worth."""
TRUE_DOSES = 2
"""At most so many full calculations in this stage: of the first apertures, and of the first that meet the goals by
their estimate."""


@dataclass(frozen=True, eq=False)
class Met:
    """The best candidate and the objectives and rules that planning stood at; why it stopped."""

    best: Candidate
    objectives: Objectives
    rules: Rules
    why: str


def meet(
    operator: Operator, rules: Rules, objectives: Objectives, progress: Progress, *, begun: Candidate | None = None
) -> Met:
    """From the first apertures on. begun: these, where the planning system stands at them and they were judged."""
    best = begun or operator.judge()
    state, idle, why = best.state, 0, f"{ROUNDS} rounds used"
    for number in range(ROUNDS):
        if operator.satisfied(best.state, 0.0, besides=rules.given_up):
            why = "all goals met but what was given up"
            break
        progress("planner: apertures", number / ROUNDS)
        most_idle = IDLE_ROUNDS + (NEAR_ROUNDS if _is_near(operator, rules, best.state) else 0)
        if idle >= IDLE_ROUNDS or (idle and rules.foreseen - rules.given_up):
            further = _give_up(operator, rules, objectives, state, early=idle < IDLE_ROUNDS)
            if further is None and idle >= most_idle:
                why = f"no gain in {most_idle} rounds"
                break
            rules, idle = (rules, idle) if further is None else (further, 0)
        objectives = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=ROOM)
        state, idle = operator.refine(objectives), idle + 1
        factor = operator.factor(state)
        gain = operator.score(scaled(operator.goal_set, state, factor)) - operator.score(best.state)
        if gain <= GAIN:
            continue
        best = operator.kept(state, factor)
        idle = 0 if gain > PROGRESS or _is_near(operator, rules, best.state) else idle
        if operator.satisfied(best.state, 0.0, besides=rules.given_up) and operator.true_doses < TRUE_DOSES:
            best = operator.true(best)
            state = best.state
    return Met(best, objectives, rules, why)


def _is_near(operator: Operator, rules: Rules, state: PlanningState) -> bool:
    goals = zip(operator.goal_set.goals, state.goal_values, strict=True)
    missed = [shortfall(goal, value) for i, (goal, value) in enumerate(goals) if i not in rules.given_up]
    return max([*missed, hot_shortfall(operator.goal_set, state.hottest_gy)]) < NEAR


def _give_up(
    operator: Operator, rules: Rules, objectives: Objectives, state: PlanningState, *, early: bool
) -> Rules | None:
    found = operator.tps.conflicts(objectives)
    number = goal_to_give_up(
        operator.goal_set,
        state.goal_values,
        found,
        given_up=rules.given_up,
        among=rules.foreseen if early else None,
        room=-EARLY if early else 0.0,
    )
    return None if number is None else rules.giving_up(number, state.goal_values[number])
