"""What another version of a guideline says of a plan that exists: every goal judged again on the stored dose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.contracts import CalculatedDose, Case, GoalResult, GoalSet, Grade, PlanFacts
from appliance.errors import CouchsideError
from appliance.evaluation.evaluate import evaluate
from appliance.evaluation.goal_reduction import goals_for_case

METHOD = (
    "Every goal was judged again on the plan's stored dose and the structures of its stored case, with the same code "
    "that judges a new plan; no histogram was read off"
)


@dataclass(frozen=True)
class Flip:
    """A goal that is judged otherwise. before, after: 'pass', 'acceptable variation', 'fail', or 'no goal'. value: of
    the plan, in `unit`."""

    goal: str
    value: float
    unit: str
    before: str
    after: str


@dataclass(frozen=True)
class PlanImpact:
    """One plan under both versions. refused: why a version cannot judge it ('' if both can)."""

    session: str
    goal_set: str
    met_before: int
    total_before: int
    met_after: int
    total_after: int
    flips: tuple[Flip, ...]
    refused: str = ""


@dataclass(frozen=True)
class Impact:
    """plans: those that were judged with the guideline. left_out: a sentence for each that could not be read. method:
    how they were judged."""

    plans: tuple[PlanImpact, ...] = ()
    left_out: tuple[str, ...] = ()
    method: str = METHOD

    @property
    def flipped(self) -> int:
        return sum(bool(plan.flips or plan.refused) for plan in self.plans)

    @property
    def sentence(self) -> str:
        if not self.plans:
            told = "No stored plan was judged with this guideline, so none can be compared"
        else:
            worse = sum(flip.after == Grade.FAIL.value for plan in self.plans for flip in plan.flips)
            told = (
                f"{self.flipped} of {len(self.plans)} stored plans would be judged otherwise; {worse} goals would fail"
            )
            told += " that did not" if worse else ""
        return told + (f"; {len(self.left_out)} plans could not be read" if self.left_out else "")


def judge_again(
    session: str, case: Case, dose: CalculatedDose, facts: PlanFacts, versions: tuple[GoalSet | None, GoalSet | None]
) -> PlanImpact:
    """One plan under the goal set before and after; None where a version has no such set. Never raises for goals that
    do not fit: `refused` says so."""
    names = [one.name for one in versions if one is not None]
    results, refused = [], ""
    for which, goal_set in zip(("before", "after"), versions, strict=True):
        try:
            judged = () if goal_set is None else evaluate(case, goals_for_case(goal_set, case), dose, facts).goals
        except CouchsideError as error:
            judged, refused = (), f"{which}: {error.sentence}"
        if goal_set is None:
            refused = refused or f"{which}: the package has no goal set '{names[0]}'"
        results.append(judged)
    old, new = results
    flips = () if refused else _flips(old, new)
    return PlanImpact(session, names[0], _met(old), len(old), _met(new), len(new), flips, refused)


def _met(results: Sequence[GoalResult]) -> int:
    return sum(result.met for result in results)


def _flips(old: Sequence[GoalResult], new: Sequence[GoalResult]) -> tuple[Flip, ...]:
    """A new goal counts only where the plan misses it, a removed one only where the plan missed it."""
    before = {_key(result): result for result in old}
    after = {_key(result): result for result in new}
    flips = []
    for key in [*after, *(key for key in before if key not in after)]:
        one, other = before.get(key), after.get(key)
        told = other or one
        if told is None or (one is not None and other is not None and one.grade is other.grade):
            continue
        if (one is None or other is None) and told.grade is Grade.PASS:
            continue
        goal = f"{told.structure} {told.metric} {told.comparator} {told.limit:g} {told.unit}"
        was, now = ("no goal" if result is None else result.grade.value for result in (one, other))
        flips.append(Flip(goal, told.value, told.unit, was, now))
    return tuple(flips)


def _key(result: GoalResult) -> tuple[str, str, str, str]:
    return result.structure, result.metric, result.comparator, result.unit
