"""Objectives that a planner may add to the template: rings around targets, and organs without their overlap."""

from __future__ import annotations

from appliance.contracts import Case, GoalSet, Objective, ObjectiveKind, Objectives
from appliance.planning.regions import region

RING_FROM_MM, RING_TO_MM = 5, 15
"""A ring lies this far outside its target (chosen: nearer belongs to the penumbra, further to the fall-off)."""
RING_DOSE, RING_WEIGHT = 0.85, 20.0
OUTSIDE_WEIGHT = 20.0
OUTSIDE_DOSE = 0.5
"""An organ's part outside all targets is asked for at most this share of the lowest prescription (chosen)."""


def offered_objectives(case: Case, goal_set: GoalSet) -> Objectives:
    """A ring for each prescribed target that is there, and one objective for each organ with a goal whose part outside
    the targets differs from the whole."""
    present = [(name, dose) for name, dose in goal_set.prescription if region(case, name) is not None]
    names = [name for name, _ in present]
    offered = [
        Objective(
            "!".join([f"{name}^{RING_TO_MM}", f"{name}^{RING_FROM_MM}", *(n for n in names if n != name)]),
            ObjectiveKind.SQUARED_OVERDOSE, dose * RING_DOSE, RING_WEIGHT,
        )
        for name, dose in present
    ]  # fmt: skip
    lowest = min((dose for _, dose in present), default=0.0)
    for organ in dict.fromkeys(goal.structure for goal in goal_set.goals if goal.caps_dose):
        whole, outside = region(case, organ), region(case, "!".join([organ, *names]))
        if set(organ.split("+")) & set(names) or whole is None or outside is None:
            continue
        if outside.volume_cc(1.0) < whole.volume_cc(1.0):
            name = "!".join([organ, *names])
            offered.append(Objective(name, ObjectiveKind.SQUARED_OVERDOSE, lowest * OUTSIDE_DOSE, OUTSIDE_WEIGHT))
    return tuple(offered)
