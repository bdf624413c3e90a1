"""What cannot be asked for, and why: limits that no plan can have, and those that give up a target."""

from __future__ import annotations

from appliance.contracts import Case, ChangeGoal, Comparator, GoalSet, MetricKind
from appliance.errors import RefusedEdit

MOST_GY = 200.0
"""No photon course allows more; a larger number is cGy said as Gy (the same bound as of goal files)."""
LEAST_COVERAGE = 0.9
"""A target's minimum or its coverage is not relaxed below this share of the prescription or of the volume (chosen: what
is lower is another prescription, which is not decided here)."""
VOLUMES = (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)


def demand_structure(case: Case, name: str) -> None:
    """Raises RefusedEdit with the structures that there are."""
    known = tuple(s.tg263 for s in case.structures if not s.voxels.empty)
    if missing := [part for part in name.split("+") if part not in known]:
        raise RefusedEdit(f"the case has no structure {missing[0]}", known)


def check_goal(case: Case, goal_set: GoalSet, edit: ChangeGoal) -> None:
    """Raises RefusedEdit."""
    demand_structure(case, edit.structure)
    said = f"{edit.structure} {edit.metric} {edit.comparator} {edit.limit:g} {edit.unit}"
    is_volume = edit.metric.kind in VOLUMES
    if is_volume == (edit.unit == "Gy"):
        raise RefusedEdit(f"{edit.metric} cannot be given in {edit.unit}; use {'% or cc' if is_volume else 'Gy'}")
    if not 0 <= edit.limit < float("inf") or (edit.unit == "Gy" and not 0 < edit.limit <= MOST_GY):
        raise RefusedEdit(f"'{said}' is no limit that a plan can have; limits are in Gy up to {MOST_GY:g}, not in cGy")
    if edit.unit == "%" and edit.limit > 100:
        raise RefusedEdit(f"'{said}' asks for more than the whole volume")
    if edit.metric.kind is MetricKind.DOSE_AT_PERCENT and edit.metric.argument > 100:
        raise RefusedEdit(f"{edit.metric} asks for more than 100 % of the volume")
    _check_target(goal_set, edit, said)


def _check_target(goal_set: GoalSet, edit: ChangeGoal, said: str) -> None:
    prescribed_gy = dict(goal_set.prescription).get(edit.structure.split("+")[0])
    if prescribed_gy is None:
        return
    if edit.comparator is Comparator.AT_MOST:
        most_gy = prescribed_gy
        if edit.metric.kind not in VOLUMES and edit.limit < most_gy:
            raise RefusedEdit(f"'{said}' would hold a target below its prescription of {prescribed_gy:g} Gy")
        return
    if edit.metric.kind not in VOLUMES and edit.limit < LEAST_COVERAGE * prescribed_gy:
        raise RefusedEdit(
            f"'{said}' would relax a target below {LEAST_COVERAGE:.0%} of its prescription of {prescribed_gy:g} Gy; "
            "that is another prescription, not an edit"
        )
    too_little = edit.metric.kind is MetricKind.VOLUME_AT_DOSE and (
        (edit.unit == "%" and edit.limit < 100 * LEAST_COVERAGE)
        or edit.metric.argument < LEAST_COVERAGE * prescribed_gy
    )
    if too_little:
        raise RefusedEdit(
            f"'{said}' would relax a target's coverage below {LEAST_COVERAGE:.0%}; that is another prescription"
        )
    most_gy = prescribed_gy * goal_set.hot_spot_percent / 100
    if edit.metric.kind not in VOLUMES and edit.limit > most_gy:
        raise RefusedEdit(f"'{said}' cannot hold beside the limit on hot spots of {most_gy:.1f} Gy")
