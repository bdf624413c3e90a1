"""The rule-based virtual planner: operates any TPS until the goals are met or its rounds are used."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from appliance.contracts import CalculatedDose, GoalSet, Objectives, Plan, PlanningState, TreatmentPlanningSystem
from appliance.contracts.progress import Progress, silent
from appliance.errors import PlanningError
from appliance.execution.normalise import best_factor
from appliance.execution.rules import ROOM, adjust, shortfall
from appliance.execution.score import score

FLUENCE_ROUNDS, APERTURE_ROUNDS = 5, 5
"""Rounds at most in each stage (chosen: later rounds rarely change a goal on the built-in cases)."""
FLUENCE_ROOM = 0.006
"""Goals are met with this room at the fluence stage, because sequencing costs some of it."""
NORMALISE_FROM = 0.001
"""A change of monitor units below this is not worth a new dose calculation."""


@dataclass(frozen=True, eq=False)
class _Best:
    points: float
    plan: Plan
    dose: CalculatedDose


def plan_case(
    tps: TreatmentPlanningSystem, goal_set: GoalSet, progress: Progress = silent
) -> tuple[Plan, CalculatedDose]:
    """The best deliverable plan found and its dose. Every candidate is judged on the full grid; the best by `score` is
    returned, so a later round can never make the result worse. Raises PlanningError if the TPS gives none."""
    objectives = _plan_fluence(tps, goal_set, progress)
    progress("planner: apertures", 0.5)
    tps.sequence(objectives)
    best: _Best | None = None
    for number in range(APERTURE_ROUNDS):
        progress("planner: apertures", 0.5 + 0.5 * number / APERTURE_ROUNDS)
        state = tps.judge()
        factor = best_factor(goal_set, state)
        if abs(factor - 1) > NORMALISE_FROM:
            tps.normalise(factor)
            state = tps.judge()
        best = _better(best, tps, goal_set, state)
        if _satisfied(goal_set, state, 0.0) or number == APERTURE_ROUNDS - 1:
            break
        objectives = adjust(objectives, goal_set, state.goal_values, state.hottest_gy, ROOM)
        tps.refine(objectives)
    if best is None:
        raise PlanningError("the planning system returned no plan")
    progress("planner: apertures", 1.0)
    return best.plan, best.dose


def _plan_fluence(tps: TreatmentPlanningSystem, goal_set: GoalSet, progress: Progress) -> Objectives:
    """Objectives under which the fluence meets the goals with room, as far as it can."""
    objectives = tps.initial_objectives()
    for number in range(FLUENCE_ROUNDS):
        progress("planner: fluence", 0.5 * number / FLUENCE_ROUNDS)
        state = tps.optimise_fluence(objectives)
        if _satisfied(goal_set, state, FLUENCE_ROOM):
            break
        if number < FLUENCE_ROUNDS - 1:
            objectives = adjust(objectives, goal_set, state.goal_values, state.hottest_gy, FLUENCE_ROOM)
    return objectives


def _satisfied(goal_set: GoalSet, state: PlanningState, room: float) -> bool:
    highest_gy = max(dose for _, dose in goal_set.prescription)
    cool = state.hottest_gy <= highest_gy * goal_set.hot_spot_percent / 100
    return cool and all(
        shortfall(goal, value) + room <= 0 or isnan(value)
        for goal, value in zip(goal_set.goals, state.goal_values, strict=True)
    )


def _better(best: _Best | None, tps: TreatmentPlanningSystem, goal_set: GoalSet, state: PlanningState) -> _Best:
    points = score(goal_set, state)
    if best is not None and points <= best.points:
        return best
    plan, dose = tps.finish()
    return _Best(points, plan, dose)
