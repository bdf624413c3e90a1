"""For every goal that a plan misses or just keeps: why, by computing, and the smallest change that would make it pass.

In order, for each goal: what coverage of overlapping targets forces (a bound, no optimising); how far the structure is
and how steeply this dose falls; the best that beamlet fluence reaches with all goals asked, and with nothing asked but
coverage and this goal; then, one by one, other goals' limits are weakened until it passes, and what is claimed has been
optimised again from open fields.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import CalculatedDose, Case, ClinicalGoal, Comparator, GoalSet, Plan
from appliance.contracts.explanation import Explanation, Extent, Reached, Reason, Reoptimiser
from appliance.contracts.progress import Progress, silent
from appliance.errors import EvaluationError
from appliance.evaluation.dose_on_image import check_dose, dose_on_image
from appliance.evaluation.explain import words
from appliance.evaluation.explain.conclude import concluded, delivered
from appliance.evaluation.explain.geometry import (
    build_up_reason,
    coverage_goals,
    distance_reason,
    gradient,
    needed_coverage,
    overlap,
    overlap_reason,
)
from appliance.evaluation.explain.search import (
    LOSS,
    OutOfTime,
    Solver,
    Tried,
    givers,
    others_kept,
    passes,
    try_giver,
    with_limit,
)
from appliance.evaluation.goal_choice import goals_for_case
from appliance.evaluation.judged import union_of
from appliance.evaluation.robustness.metrics import value as metric_value

BORDERLINE = 0.01
"""A goal met with less room than this, relative to its limit, is borderline (chosen: what a full dose takes from an
estimate, twice)."""
NEAR_MM = 20.0
"""Distance is named as a reason where the part of an organ that counts lies within this of a target (chosen: dose of a
6 MV plan still falls steeply there; beyond, entrance and scatter rule)."""
BUDGET_S = 120.0

TpsFactory = Callable[[], Reoptimiser]


@dataclass(frozen=True, eq=False)
class _Question:
    """What one explanation shares with the next. values: of every goal in the plan as judged."""

    case: Case
    goal_set: GoalSet
    dose_gy: NDArray[np.float32]
    values: tuple[float, ...]

    def is_of_organ(self, goal: ClinicalGoal) -> bool:
        """An upper limit on what is no target: of a target, neither overlap nor distance says anything."""
        targets = {structure for structure, _ in self.goal_set.prescription}
        return goal.comparator is Comparator.AT_MOST and not targets & set(goal.structure.split("+"))

    @property
    def coverage(self) -> frozenset[int]:
        asked = coverage_goals(self.goal_set)
        return frozenset(i for i, goal in enumerate(self.goal_set.goals) if goal in asked)


def explain(
    case: Case,
    goal_set: GoalSet,
    dose: CalculatedDose,
    plan: Plan,
    tps_factory: TpsFactory | None = None,
    budget_s: float = BUDGET_S,
    *,
    extent: Extent | None = None,
    progress: Progress = silent,
) -> tuple[Explanation, ...]:
    """One explanation for each goal that `dose` misses or meets with less room than BORDERLINE, missed ones first, the
    most important first; () where there is none.

    tps_factory makes a re-optimiser of this case; without one only what needs no optimising is told. budget_s: seconds
    for all of it, shared evenly among the missed goals still to be explained; a solve that would not end in time is not
    begun.
    Raises EvaluationError for a dose that is not of `plan` or does not cover the goals' structures; PlanningError."""
    check_dose(dose, plan)
    extent, goals = extent or Extent(), goals_for_case(goal_set, case)
    dose_gy, _ = dose_on_image(dose, case.image.grid)
    values = tuple(_value(case, goal, dose_gy) for goal in goals.goals)
    question = _Question(case, goals, dose_gy, values)
    asked = [
        i
        for i, goal in enumerate(goals.goals)
        if _state(goal, values[i]) and (not extent.structures or goal.structure in extent.structures)
    ]
    asked.sort(key=lambda i: (_state(goals.goals[i], values[i]) != "failed", goals.goals[i].priority, i))
    reoptimise = tps_factory() if tps_factory is not None and any(_is_missed(question, i) for i in asked) else None
    made, end = [], time.monotonic() + budget_s
    for place, number in enumerate(asked):
        progress("explaining", place / len(asked))
        waiting = sum(_is_missed(question, i) for i in asked[place:])
        left_s = max(0.0, end - time.monotonic()) / max(waiting, 1)
        found = _explained(question, number, reoptimise, time.monotonic() + left_s, progress)
        made.append(found if extent.replan is None else delivered(question.goal_set, found, extent.replan, progress))
    return tuple(made)


def plan_values(case: Case, goal_set: GoalSet, dose: CalculatedDose) -> tuple[float, ...]:
    """One value for each goal on every voxel. Raises EvaluationError where the dose does not cover a structure."""
    dose_gy, _ = dose_on_image(dose, case.image.grid)
    return tuple(_value(case, goal, dose_gy) for goal in goal_set.goals)


def _is_missed(question: _Question, number: int) -> bool:
    return _state(question.goal_set.goals[number], question.values[number]) == "failed"


def _value(case: Case, goal: ClinicalGoal, dose_gy: NDArray[np.float32]) -> float:
    voxels = union_of(case, goal.structure)
    dose = dose_gy.reshape(-1)[voxels.index]
    if np.isnan(dose).any():
        raise EvaluationError(f"the dose grid does not cover {goal.structure}; calculate the dose on a larger grid")
    return metric_value(goal, dose, voxels.fraction * np.float32(case.image.grid.voxel_volume_cc))


def _state(goal: ClinicalGoal, value: float) -> str:
    if not goal.met_by(value):
        return "failed"
    return "borderline" if abs(value - goal.limit) < BORDERLINE * abs(goal.limit) else ""


def _explained(
    question: _Question, number: int, reoptimise: Reoptimiser | None, deadline: float, progress: Progress
) -> Explanation:
    goal, value, begin = question.goal_set.goals[number], question.values[number], time.monotonic()
    state = _state(goal, value)
    covered = overlap(question.case, question.goal_set, goal) if question.is_of_organ(goal) else None
    plain = Explanation(
        goal=number,
        structure=goal.structure,
        metric=str(goal.metric),
        comparator=goal.comparator.value,
        limit=goal.limit,
        unit=goal.unit,
        value=value,
        state=state,
        sentence=words.headline(goal, value, state),
        reasons=_geometric(question, goal),
        floor=None if covered is None else covered.floor,
    )
    if reoptimise is None or state != "failed":
        return plain
    solve = Solver(
        reoptimise,
        question.goal_set,
        number,
        deadline,
        plan_values=question.values,
        tell=lambda solves: progress(f"explaining {goal.structure}: re-optimisation {solves}", 0.0),
    )
    found = _searched(question, plain, solve)
    return replace(found, solves=solve.solves, seconds=time.monotonic() - begin)


def _geometric(question: _Question, goal: ClinicalGoal) -> tuple[Reason, ...]:
    if goal.comparator is Comparator.AT_LEAST:
        found = build_up_reason(question.case, goal)
        return () if found is None else (found,)
    if not question.is_of_organ(goal):
        return ()
    reasons = []
    covered = overlap(question.case, question.goal_set, goal)
    if covered is not None and (told := overlap_reason(covered, goal)) is not None:
        reasons.append(told)
    steep = gradient(question.case, question.goal_set, goal, question.dose_gy)
    if steep is not None and 0 < steep.at_mm <= NEAR_MM:
        reasons.append(distance_reason(steep, goal, max(dose for _, dose in question.goal_set.prescription)))
    return tuple(reasons)


def _searched(question: _Question, plain: Explanation, solve: Solver) -> Explanation:
    """With what re-optimising shows; as far as the time allowed."""
    number, found, tried = plain.goal, plain, []
    goal_set, goal, best = question.goal_set, question.goal_set.goals[plain.goal], None
    try:
        pressed = solve()
        if passes(goal_set, number, pressed, question.values):
            reason = words.delivery_reason(goal, plain.value, pressed.values[number])
            told = "no other goal has to give way: a new optimisation with more weight on it is what it needs"
            reasons = (*_not_in_the_way(found), reason)
            return replace(found, together=pressed.values[number], reasons=reasons, no_change=told)
        solve.base = base = solve(steady=True)
        if others_kept(goal_set, number, base, question.values):
            found = replace(found, together=base.values[number])
        if found.together is not None and goal.met_by(found.together):
            found = replace(found, reasons=(*_not_in_the_way(found), words.hair_reason(goal_set, number, base)))
        others = frozenset(range(len(goal_set.goals))) - question.coverage - {number}
        found = _with_alone(question, found, solve(ignored=others, steady=True), base)
        if (needed := needed_coverage(question.case, goal_set, goal)) is not None:
            return replace(found, no_change=needed)
        for giver in givers(goal_set, number, base):
            tried.append(try_giver(solve, giver))
        if not any(one.limit is not None for one in tried):
            best = _reachable(question, number, tuple(tried), solve)
    except OutOfTime:
        found = replace(found, finished=False)
    return concluded(question.goal_set, found, tuple(tried), best)


def _reachable(question: _Question, number: int, tried: tuple[Tried, ...], solve: Solver) -> tuple[Tried, float] | None:
    """The giver that helps most, and what it brings the goal to without loss elsewhere; None where that was not
    shown. Raises OutOfTime."""
    if not tried:
        return None
    goal = question.goal_set.goals[number]
    most = max(tried, key=lambda one: -one.value if goal.comparator is Comparator.AT_MOST else one.value)
    asked = with_limit(question.goal_set, most.giver, most.furthest)
    reached = solve(asked, steady=True)
    return (most, reached.values[number]) if others_kept(asked, number, reached, question.values) else None


def _not_in_the_way(found: Explanation) -> tuple[Reason, ...]:
    """Geometry that did not keep the fluence from meeting the goal is no reason."""
    return tuple(reason for reason in found.reasons if reason.kind == "overlap" and found.floor)


def _with_alone(question: _Question, found: Explanation, alone: Reached, base: Reached) -> Explanation:
    """A value counts only where it was not bought with coverage."""
    goal, reasons = question.goal_set.goals[found.goal], list(found.reasons)
    value = alone.values[found.goal] if _covered(question, alone) else None
    if value is None:
        pass
    elif not goal.met_by(value):
        if goal.comparator is Comparator.AT_MOST:
            reasons.append(words.entrance_reason(goal, value, found.value))
    else:
        reasons = [reason for reason in reasons if reason.kind != "distance"]
    reasons += [words.conflict_reason(c.sentence) for c in base.conflicts if c.goal == found.goal]
    return replace(found, alone=value, reasons=tuple(reasons))


def _covered(question: _Question, reached: Reached) -> bool:
    """Every goal that demands dose is met to LOSS."""
    asked = [(question.goal_set.goals[i], reached.values[i]) for i in question.coverage]
    return all(value >= goal.limit * (1 - LOSS) for goal, value in asked)
