"""From a template's objectives to what a policy can steer."""

from __future__ import annotations

from appliance.contracts import GoalSet, MetricKind, Objective, ObjectiveKind, Objectives
from appliance.execution.steering.changes import Lever

VOLUME_KINDS = (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)


def levers_of(goal_set: GoalSet, first: Objectives, offered: Objectives = ()) -> tuple[Lever, ...]:
    """One lever for each objective of the list, then one for each that may be added."""
    targets = frozenset(name for name, _ in goal_set.prescription)
    started = [_lever(goal_set, targets, objective, offered=False) for objective in first]
    return (*started, *(_lever(goal_set, targets, objective, offered=True) for objective in offered))


def _lever(goal_set: GoalSet, targets: frozenset[str], objective: Objective, *, offered: bool) -> Lever:
    wanted = goal_set.goals[objective.goal].metric.kind if objective.goal >= 0 else None
    dvh = objective.kind in (ObjectiveKind.DVH_MAX, ObjectiveKind.DVH_MIN)
    return Lever(
        objective,
        of_target=bool(targets & set(objective.structure.split("!")[0].split("+"))),
        by_volume=dvh and wanted in VOLUME_KINDS,
        offered=offered,
    )
