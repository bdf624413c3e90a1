"""What of a goal set applies to a patient: prescription filled in, absent structures named, nothing dropped unsaid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet
from appliance.contracts.goals import with_digest
from appliance.errors import ContradictoryGoals, RefusedGoals, UncoveredFractionation
from appliance.evaluation.fractionation import DOSE_TOLERANCE, case_course, course_words, uncovered
from appliance.evaluation.goal_conflicts import sure_contradictions
from appliance.evaluation.goal_schema import relative_resolved

PAIRED = ("Lung", "Kidney", "Parotid", "Eye", "Hippocampus", "Cochlea", "OpticNrv", "Femur_Head", "BrachialPlex")
"""Organs that TG-263 knows as left, right and, with a plural s, both (Mayo 2018)."""


def goals_for_case(goal_set: GoalSet, case: Case) -> GoalSet:
    """The part of `goal_set` that applies to `case`, with a note for each goal left out, which is kept in `left_out`.
    Applying it twice changes nothing.

    A guideline without a prescription takes targets, doses and fractions from the case: its template becomes goals on
    each prescribed target (upper limits only on those of the highest dose, because a lower one touches it), and limits
    in percent of the prescription become Gy of the highest. An optional target that is absent disappears from the
    prescription and from unions. A goal on both of a pair (Lungs) is judged on the left and the right one together
    where the case has no structure of both. The first structure of a union is the one the goal is about: without it
    the goal is left out. A goal on an absent organ, or on a union that lacks one, is left out.

    Raises RefusedGoals when a required target is absent, no prescription is there to take, or no goal remains;
    UncoveredFractionation; ContradictoryGoals.
    """
    present = present_structures(case)
    notes: list[str] = []
    if goal_set.is_template:
        goal_set = _prescribed_by(goal_set, case, notes)
    required = [name for name, _ in goal_set.prescription if name not in goal_set.optional_targets]
    if missing := [name for name in required if name not in present]:
        raise RefusedGoals(
            f"the goal set '{goal_set.name}' prescribes dose to {', '.join(missing)}, which the structure set does not "
            f"have (its targets: {targets_of(case)}); correct the structure set, or name another goal set with --site "
            "or --goals"
        )
    absent_levels = tuple(name for name in goal_set.optional_targets if name not in present)
    goals, left_out = _applicable(goal_set, present, absent_levels, notes)
    if not goals:
        raise RefusedGoals(f"none of the goals of '{goal_set.name}' applies to the structures of this case")
    if found := sure_contradictions(goals):
        raise ContradictoryGoals(f"{'; '.join(found)} (in '{goal_set.name}'); correct the goal file")
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


def present_structures(case: Case) -> frozenset[str]:
    return frozenset(structure.tg263 for structure in case.structures if not structure.voxels.empty)


def targets_of(case: Case) -> str:
    return ", ".join(target.tg263 for target in case.targets) or "none"


def with_pairs(names: Iterable[str]) -> frozenset[str]:
    """The names, and those of both of a pair whose left and right are among them."""
    there = frozenset(names)
    return there | {f"{organ}s" for organ in PAIRED if {f"{organ}_L", f"{organ}_R"} <= there}


def _prescribed_by(goal_set: GoalSet, case: Case, notes: list[str]) -> GoalSet:
    """The template with the case's targets, doses and fractions."""
    fractions, prescribed = case_course(case)
    if not prescribed:
        raise RefusedGoals(
            f"'{goal_set.name}' limits organs and prescribes nothing itself, and no received plan prescribes a dose to "
            f"a target of this case (its targets: {targets_of(case)}); send the RTPLAN with its prescription, or pass "
            "a goal file with one"
        )
    highest_gy = max(dose_gy for _, dose_gy in prescribed)
    if reason := uncovered(goal_set, fractions, highest_gy):
        course = course_words(fractions, highest_gy)
        raise UncoveredFractionation(f"{course}. {reason}. Name a guideline that covers it with --site or --goals")
    named = {name for name, _ in prescribed}
    left = [name for name in (target.tg263 for target in case.targets) if name not in named and name.startswith("PTV")]
    notes.extend(f"{name} has no prescription in the received plan and is not judged" for name in left)
    goals = []
    for name, dose_gy in prescribed:
        for template in goal_set.target_goals:
            if template.comparator is Comparator.AT_LEAST or dose_gy == highest_gy:
                goals.append(relative_resolved(replace(template, structure=name), dose_gy))
    goals += [relative_resolved(goal, highest_gy) for goal in goal_set.goals]
    notes.append(
        f"Doses and fractions as the received plan prescribes them: {fractions} fractions, "
        + ", ".join(f"{dose_gy:g} Gy to {name}" for name, dose_gy in prescribed)
    )
    return replace(goal_set, fractions=fractions, prescription=prescribed, goals=tuple(goals), target_goals=())


def _applicable(
    goal_set: GoalSet, present: frozenset[str], absent_levels: tuple[str, ...], notes: list[str]
) -> tuple[list[ClinicalGoal], list[ClinicalGoal]]:
    """(goals that are judged, goals that are not, because a structure is absent)."""
    goals: list[ClinicalGoal] = []
    left_out: list[ClinicalGoal] = []
    for goal in goal_set.goals:
        parts = []
        for part in goal.structure.split("+"):
            organ = part[:-1]
            if part not in present and organ in PAIRED and {f"{organ}_L", f"{organ}_R"} <= present:
                parts += [f"{organ}_L", f"{organ}_R"]
                notes.append(f"{part} are judged as {organ}_L and {organ}_R together")
            else:
                parts.append(part)
        kept = [part for part in parts if part not in absent_levels]
        if parts[0] not in present or any(part not in present for part in kept):
            left_out.append(goal)
            notes.append(f"Left out, because the case has no such structure: {goal}")
        else:
            goals.append(replace(goal, structure="+".join(kept)))
    return goals, left_out


def _prescription_notes(goal_set: GoalSet, case: Case) -> list[str]:
    """Where a person named a goal set that differs from the case's own prescription, the goal set is followed."""
    wanted = dict(goal_set.prescription)
    notes = [
        f"The received plan prescribes {entry.dose_gy:g} Gy to {entry.structure}; the goal set asks for "
        f"{wanted[entry.structure]:g} Gy and is followed"
        for entry in case.prescription
        if entry.structure in wanted
        and abs(entry.dose_gy - wanted[entry.structure]) > DOSE_TOLERANCE * wanted[entry.structure]
    ]
    if case.reference_plan is not None and case.reference_plan.fractions != goal_set.fractions:
        notes.append(
            f"The received plan has {case.reference_plan.fractions} fractions; the goal set asks for "
            f"{goal_set.fractions} and is followed"
        )
    return notes
