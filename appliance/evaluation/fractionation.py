"""Whether a guideline was made for the fractionation of a case. It is never stretched, scaled or interpolated."""

from __future__ import annotations

from appliance.contracts import Case, GoalSet

DOSE_TOLERANCE = 0.005
"""Relative; two doses that differ by less are the same (chosen: below what a dose is rounded to)."""


def uncovered(goal_set: GoalSet, fractions: int, highest_gy: float) -> str:
    """Why the guideline does not cover `fractions` with `highest_gy` to the target with the highest dose; '' if it
    does. The highest dose counts, because organs beside it see that dose per fraction."""
    if goal_set.fraction_gy is None:
        return ""
    if fractions < 1:
        return f"'{goal_set.name}' needs the number of fractions, and no received plan states it"
    low, high = goal_set.fraction_gy
    size_fits = low * (1 - DOSE_TOLERANCE) <= highest_gy / fractions <= high * (1 + DOSE_TOLERANCE)
    if size_fits and (not goal_set.fraction_counts or fractions in goal_set.fraction_counts):
        return ""
    return f"'{goal_set.name}' covers {covered(goal_set)}"


def covered(goal_set: GoalSet) -> str:
    """'1.8 to 2 Gy a fraction', '5 fractions of 5 to 12 Gy'."""
    low, high = goal_set.fraction_gy or (0.0, 0.0)
    span = f"{low:g} Gy" if low == high else f"{low:g} to {high:g} Gy"
    if not goal_set.fraction_counts:
        return f"{span} a fraction"
    counts = " or ".join(str(count) for count in goal_set.fraction_counts)
    return f"{counts} fraction{'' if counts == '1' else 's'} of {span}"


def course_words(fractions: int, highest_gy: float) -> str:
    """'60 Gy in 20 fractions (3.00 Gy each)'."""
    each = f" ({highest_gy / fractions:.2f} Gy each)" if fractions else ""
    return f"{highest_gy:g} Gy in {fractions or 'an unknown number of'} fraction{'' if fractions == 1 else 's'}{each}"


def case_course(case: Case) -> tuple[int, tuple[tuple[str, float], ...]]:
    """(fractions, ((target, Gy of the course), ...)) that the case states; 0 or () where it states none."""
    fractions = case.fractions
    if case.reference_plan is not None and case.reference_plan.fractions:
        fractions = case.reference_plan.fractions
    present = {structure.tg263 for structure in case.structures if not structure.voxels.empty}
    prescribed = tuple((entry.structure, entry.dose_gy) for entry in case.prescription if entry.structure in present)
    return fractions, prescribed
