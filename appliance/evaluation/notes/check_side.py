"""The side of the disease in the notes against the side of the target in the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.contracts.case import Case, Structure
from appliance.contracts.finding import Finding, Severity
from appliance.contracts.goals import GoalSet
from appliance.contracts.notes import Assertion, FactKind, NoteFact
from appliance.evaluation.notes.wording import finding, words_of

MIDLINE_MM = 10.0
"""A target whose centre is nearer to the middle of the body is on neither side. Chosen: elective volumes and outlines
make the centre of a one-sided target wander by less."""

NAME = "notes.laterality"


def side_finding(facts: Sequence[NoteFact], case: Case, goal_set: GoalSet | None = None) -> Finding:
    said = [fact for fact in facts if fact.kind is FactKind.LATERALITY and fact.assertion is Assertion.PRESENT]
    sides = {fact.value for fact in said}
    offset = target_offset_mm(case, goal_set)
    if not said:
        return finding(NAME, Severity.STOP, None, "the notes name no side of the disease")
    if offset is None:
        return finding(NAME, Severity.STOP, None, "the case has no target whose side could be told")
    where = _where(offset)
    if abs(offset) <= MIDLINE_MM or "both" in sides or len(sides) > 1:
        return finding(NAME, Severity.STOP, None, f"{where}; noted: {words_of(said)}: no single side to compare")
    agrees = sides == {"left" if offset > 0 else "right"}
    text = f"{where}; noted: {words_of(said)}"
    if agrees:
        return finding(NAME, Severity.STOP, False, text)
    ask = "Compare the notes, the image and the structures before anything else"
    return finding(NAME, Severity.STOP, True, f"{text}. {ask}")


def _where(offset_mm: float) -> str:
    if abs(offset_mm) <= MIDLINE_MM:
        return f"the target's centre lies within {MIDLINE_MM:g} mm of the middle of the body"
    return f"the target's centre lies {abs(offset_mm):.0f} mm to the patient's {'left' if offset_mm > 0 else 'right'}"


def target_offset_mm(case: Case, goal_set: GoalSet | None = None) -> float | None:
    """How far the centre of the targets with the highest prescription lies from the middle of the body in the same
    slices, mm, positive to the patient's left (LPS, so that the position on the couch makes no difference); None
    without targets. The highest only, because elective volumes lie on both sides of a disease that lies on one."""
    targets = [target.voxels for target in _highest(case, goal_set) if not target.voxels.empty]
    if not targets:
        return None
    grid = case.image.grid
    union = targets[0]
    for voxels in targets[1:]:
        union = union.union(voxels)
    weight = union.fraction.astype(np.float64)
    z, _, x = np.unravel_index(union.index, grid.shape)
    centre = float((x * weight).sum() / weight.sum())
    body_z, _, body_x = np.unravel_index(case.external.voxels.index, grid.shape)
    inside = body_x[np.isin(body_z, np.unique(z))]
    if inside.size == 0:
        return None
    middle = (float(inside.min()) + float(inside.max())) / 2.0
    return (centre - middle) * grid.spacing_mm[0]


def _highest(case: Case, goal_set: GoalSet | None) -> Sequence[Structure]:
    doses = {target.structure: target.dose_gy for target in case.prescription}
    doses |= dict(goal_set.prescription) if goal_set is not None else {}
    present = [target for target in case.targets if target.tg263 in doses]
    if not present:
        return case.targets
    most = max(doses[target.tg263] for target in present)
    return [target for target in present if doses[target.tg263] == most]
