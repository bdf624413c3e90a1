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
    reasons = []
    size_gy = highest_gy / fractions
    low, high = goal_set.fraction_gy
    if not low * (1 - DOSE_TOLERANCE) <= size_gy <= high * (1 + DOSE_TOLERANCE):
        span = f"{low:g} Gy" if low == high else f"{low:g} to {high:g} Gy"
        reasons.append(f"{size_gy:.2f} Gy a fraction; it covers {span}")
    if goal_set.fraction_counts and fractions not in goal_set.fraction_counts:
        counts = " or ".join(str(count) for count in goal_set.fraction_counts)
        reasons.append(f"{fractions} fraction{'s' if fractions > 1 else ''}; it covers {counts}")
    if not reasons:
        return ""
    return f"'{goal_set.name}' was made for another course than {' and '.join(reasons)}"


def case_course(case: Case) -> tuple[int, tuple[tuple[str, float], ...]]:
    """(fractions, ((target, Gy of the course), ...)) that the case states; 0 or () where it states none."""
    fractions = case.fractions
    if case.reference_plan is not None and case.reference_plan.fractions:
        fractions = case.reference_plan.fractions
    present = {structure.tg263 for structure in case.structures if not structure.voxels.empty}
    prescribed = tuple((entry.structure, entry.dose_gy) for entry in case.prescription if entry.structure in present)
    return fractions, prescribed
