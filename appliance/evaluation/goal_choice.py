"""Which goal set belongs to a case, and what of it applies to this patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appliance.contracts import Case, ClinicalGoal, GoalSet
from appliance.errors import RefusedGoals
from appliance.evaluation.goal_files import list_goal_sets, with_digest

PRESCRIPTION_TOLERANCE = 0.005
"""Two prescriptions that differ by less, relatively, are the same (chosen: below what a dose is rounded to)."""


def goals_for_case(goal_set: GoalSet, case: Case) -> GoalSet:
    """The part of `goal_set` that applies to `case`, with a note for each goal left out, which is kept in
    `left_out`. Applying it twice changes nothing.

    An optional target that is absent disappears from the prescription and from unions. The first structure of a union
    is the one the goal is about: without it the goal is left out. A goal on an absent organ, or on a union that lacks
    one, is left out. Raises RefusedGoals when a required target is absent or no goal remains.
    """
    present = _present(case)
    required = [name for name, _ in goal_set.prescription if name not in goal_set.optional_targets]
    if missing := [name for name in required if name not in present]:
        raise RefusedGoals(
            f"the goal set '{goal_set.name}' prescribes dose to {', '.join(missing)}, which the structure set does not "
            f"have (its targets: {_targets(case)}); correct the structure set, or name another goal set with --site or "
            "--goals"
        )
    absent_levels = tuple(name for name in goal_set.optional_targets if name not in present)
    goals: list[ClinicalGoal] = []
    notes: list[str] = []
    left_out: list[ClinicalGoal] = []
    for goal in goal_set.goals:
        kept = _adapted(goal, present, absent_levels)
        if kept is None:
            left_out.append(goal)
            notes.append(f"Left out, because the case has no such structure: {goal}")
        else:
            goals.append(kept)
    if not goals:
        raise RefusedGoals(f"none of the goals of '{goal_set.name}' applies to the structures of this case")
    notes.extend(_prescription_notes(goal_set, case))
    adapted = replace(
        goal_set,
        prescription=tuple(entry for entry in goal_set.prescription if entry[0] not in absent_levels),
        optional_targets=tuple(name for name in goal_set.optional_targets if name in present),
        goals=tuple(goals),
        notes=(*goal_set.notes, *(note for note in notes if note not in goal_set.notes)),
        left_out=(*goal_set.left_out, *left_out),
    )
    return with_digest(adapted)


def choose_goal_set(case: Case, among: Sequence[GoalSet] | None = None) -> GoalSet:
    """The most specific goal set that fits the case, of those given or of those that ship (`goals_for_case` then
    reduces it to this patient).

    A set fits if every required target is there, at least one organ it limits is there (or it limits none), no PTV of
    the case is left without a prescription, and the case's own prescription does not contradict it. Among those, the
    set wins that names most structures of the case, then the one that misses fewest. Raises RefusedGoals if none fits
    or two fit equally well: then a person must name one.
    """
    present = _present(case)
    known = list_goal_sets() if among is None else among
    fitting = [goal_set for goal_set in known if goal_set.automatic and _fits(goal_set, case, present)]
    if not fitting:
        sites = ", ".join(goal_set.site for goal_set in known)
        raise RefusedGoals(
            f"no known goal set fits the structures and prescription of this case (its targets: {_targets(case)}); "
            f"name one with --site ({sites}) or pass a goal file with --goals"
        )

    def rank(goal_set: GoalSet) -> tuple[int, int]:
        named = _named(goal_set)
        return len(named & present), -len(named - present)

    best = max(map(rank, fitting))
    chosen = [goal_set for goal_set in fitting if rank(goal_set) == best]
    if len(chosen) > 1:
        names = " and ".join(goal_set.site for goal_set in chosen)
        raise RefusedGoals(f"the goal sets {names} fit this case equally well; name one of them with --site")
    return chosen[0]


def _present(case: Case) -> frozenset[str]:
    return frozenset(structure.tg263 for structure in case.structures if not structure.voxels.empty)


def _targets(case: Case) -> str:
    return ", ".join(target.tg263 for target in case.targets) or "none"


def _named(goal_set: GoalSet) -> frozenset[str]:
    in_goals = {part for goal in goal_set.goals for part in goal.structure.split("+")}
    return frozenset(in_goals | {name for name, _ in goal_set.prescription})


def _adapted(goal: ClinicalGoal, present: frozenset[str], absent_levels: tuple[str, ...]) -> ClinicalGoal | None:
    parts = goal.structure.split("+")
    kept = [part for part in parts if part not in absent_levels]
    if parts[0] not in present or any(part not in present for part in kept):
        return None
    return replace(goal, structure="+".join(kept))


def _agrees(prescribed_gy: float, wanted_gy: float) -> bool:
    return abs(prescribed_gy - wanted_gy) <= PRESCRIPTION_TOLERANCE * wanted_gy


def _fits(goal_set: GoalSet, case: Case, present: frozenset[str]) -> bool:
    wanted = dict(goal_set.prescription)
    required = {name for name in wanted if name not in goal_set.optional_targets}
    organs = _named(goal_set) - wanted.keys()
    planned_for = {target.tg263 for target in case.targets if target.tg263.upper().startswith("PTV")}
    return (
        required <= present
        and (not organs or bool(organs & present))
        and planned_for <= wanted.keys()
        and all(
            entry.structure not in wanted or _agrees(entry.dose_gy, wanted[entry.structure])
            for entry in case.prescription
        )
    )


def _prescription_notes(goal_set: GoalSet, case: Case) -> list[str]:
    """Where a person named a goal set that differs from the case's own prescription, the goal set is followed."""
    wanted = dict(goal_set.prescription)
    notes = [
        f"The received plan prescribes {entry.dose_gy:g} Gy to {entry.structure}; the goal set asks for "
        f"{wanted[entry.structure]:g} Gy and is followed"
        for entry in case.prescription
        if entry.structure in wanted and not _agrees(entry.dose_gy, wanted[entry.structure])
    ]
    if case.reference_plan is not None and case.reference_plan.fractions != goal_set.fractions:
        notes.append(
            f"The received plan has {case.reference_plan.fractions} fractions; the goal set asks for "
            f"{goal_set.fractions} and is followed"
        )
    return notes
