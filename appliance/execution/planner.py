"""The rule-based virtual planner: operates any TPS until the goals are met or its rounds are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan

from appliance.contracts import CalculatedDose, GoalSet, Objectives, Plan, PlanningState, TreatmentPlanningSystem
from appliance.contracts.progress import Progress, silent
from appliance.execution.normalise import best_factor, scaled
from appliance.execution.rules import Rules, hot_shortfall, shortfall
from appliance.execution.score import score

FLUENCE_ROUNDS, APERTURE_ROUNDS = 3, 8
"""Rounds at most in each stage (chosen: later rounds rarely change a goal on the built-in cases)."""
FLUENCE_ROOM, ROOM = 0.003, 0.003
"""Goals are wanted with this room (relative): in the fluence because sequencing costs some of it, in the apertures
because the last step moves on from an estimate."""
IDLE_ROUNDS = 3
"""Planning stops after so many rounds in a row without a better candidate (chosen: weights double in that time, so a
fourth would only repeat them)."""
NORMALISE_FROM = 0.0002
"""A change of monitor units below this is not worth making."""
GAIN = 0.01
"""Only a candidate whose estimated score is better by this is calculated on the full grid (chosen: far below the
points of a goal)."""


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A plan judged on the full grid, and how the TPS's own figures stood when it was."""

    points: float
    judged: PlanningState
    sampled: PlanningState
    plan: Plan
    dose: CalculatedDose


def plan_case(
    tps: TreatmentPlanningSystem,
    goal_set: GoalSet,
    progress: Progress = silent,
    *,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[Plan, CalculatedDose]:
    """The best deliverable plan found and its dose. Candidates are judged on the full grid and the best by `score` is
    returned, so a later round can never make the result worse. The last progress step says why planning stopped. note:
    told which goals stand against each other where some are missed."""
    rules = Rules(goal_set, tps.initial_objectives())
    objectives = _plan_fluence(tps, rules, progress)
    progress("planner: apertures", 0.5)
    tps.sequence(objectives)
    newest = best = _judge(tps, goal_set)
    estimate, idle = best.judged, 0
    for number in range(APERTURE_ROUNDS):
        if _satisfied(goal_set, best.judged, 0.0) or idle == IDLE_ROUNDS:
            break
        progress("planner: apertures", 0.5 + 0.5 * number / APERTURE_ROUNDS)
        objectives = rules.adjust(objectives, estimate.goal_values, estimate.hottest_gy, room=ROOM)
        sampled = tps.refine(objectives)
        estimate = _estimated(sampled, newest)
        factor, idle = _factor(goal_set, estimate), idle + 1
        if score(goal_set, scaled(goal_set, estimate, factor)) > best.points + GAIN:
            newest, factor = _judge_scaled(tps, goal_set, factor)
            if newest.points > best.points:
                best, idle = newest, 0
            estimate = scaled(goal_set, newest.judged, 1 / factor)
    if not _satisfied(goal_set, best.judged, 0.0):
        for sentence in tps.conflicts(objectives):
            note(sentence)
    progress(f"planner: {_why(goal_set, best, idle)}", 1.0)
    return best.plan, best.dose


def _why(goal_set: GoalSet, best: _Candidate, idle: int) -> str:
    if _satisfied(goal_set, best.judged, 0.0):
        return "all goals met"
    return f"no gain in {IDLE_ROUNDS} rounds" if idle == IDLE_ROUNDS else f"{APERTURE_ROUNDS} rounds used"


def _plan_fluence(tps: TreatmentPlanningSystem, rules: Rules, progress: Progress) -> Objectives:
    """Objectives under which the fluence meets the goals with room, as far as it can."""
    objectives = rules.first
    for number in range(FLUENCE_ROUNDS):
        progress("planner: fluence", 0.5 * number / FLUENCE_ROUNDS)
        state = tps.optimise_fluence(objectives)
        if _satisfied(rules.goal_set, state, FLUENCE_ROOM):
            break
        if number < FLUENCE_ROUNDS - 1:
            objectives = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=FLUENCE_ROOM)
    return objectives


def _judge(tps: TreatmentPlanningSystem, goal_set: GoalSet, factor: float = 1.0) -> _Candidate:
    """The plan with its monitor units times a factor, on the full grid. The TPS goes on from the plan without it: the
    objectives were balanced for that one."""
    if factor != 1.0:
        tps.normalise(factor)
    judged = tps.judge()
    plan, dose = tps.finish()
    sampled = tps.normalise(1.0)
    if factor != 1.0:
        tps.normalise(1.0 / factor)
    return _Candidate(score(goal_set, judged), judged, sampled, plan, dose)


def _judge_scaled(tps: TreatmentPlanningSystem, goal_set: GoalSet, factor: float) -> tuple[_Candidate, float]:
    """The candidate and its factor; once more with a better factor where the full grid shows that one would pay. Dose
    is linear in monitor units, so what it would pay is known before the plan is calculated again."""
    candidate = _judge(tps, goal_set, factor)
    better = _factor(goal_set, candidate.judged)
    if score(goal_set, scaled(goal_set, candidate.judged, better)) <= candidate.points + GAIN:
        return candidate, factor
    again = factor * better
    other = _judge(tps, goal_set, again)
    return (other, again) if other.points > candidate.points else (candidate, factor)


def _estimated(sampled: PlanningState, known: _Candidate) -> PlanningState:
    """What the full grid will show: the TPS's own figures moved by what they were off when last compared."""
    values = tuple(
        now + judged - then
        for now, judged, then in zip(
            sampled.goal_values, known.judged.goal_values, known.sampled.goal_values, strict=True
        )
    )
    hottest_gy = sampled.hottest_gy + known.judged.hottest_gy - known.sampled.hottest_gy
    return replace(sampled, goal_values=values, hottest_gy=hottest_gy)


def _factor(goal_set: GoalSet, estimate: PlanningState) -> float:
    factor = best_factor(goal_set, estimate)
    return factor if abs(factor - 1) > NORMALISE_FROM else 1.0


def _satisfied(goal_set: GoalSet, state: PlanningState, room: float) -> bool:
    return hot_shortfall(goal_set, state.hottest_gy) <= 0 and all(
        isnan(value) or shortfall(goal, value) + room <= 0
        for goal, value in zip(goal_set.goals, state.goal_values, strict=True)
    )
