"""From a template's objectives to what a policy can steer."""

from __future__ import annotations

from appliance.contracts import GoalSet, MetricKind, Objective, ObjectiveKind, Objectives
from appliance.execution.steering.changes import Lever

VOLUME_KINDS = (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)


def levers_of(goal_set: GoalSet, first: Objectives, offered: Objectives = ()) -> tuple[Lever, ...]:
    """One lever for each objective of the list, then one for each that may be added. Of a target always the dose is
    moved: a step of volume would be most of what its goals let go."""
    targets = frozenset(name for name, _ in goal_set.prescription)
    started = [_lever(goal_set, targets, objective, offered=False) for objective in first]
    return (*started, *(_lever(goal_set, targets, objective, offered=True) for objective in offered))


def _lever(goal_set: GoalSet, targets: frozenset[str], objective: Objective, *, offered: bool) -> Lever:
    wanted = goal_set.goals[objective.goal].metric.kind if objective.goal >= 0 else None
    of_target = bool(targets & set(objective.structure.split("!")[0].split("+")))
    by_volume = objective.kind is ObjectiveKind.DVH_MAX and wanted in VOLUME_KINDS and not of_target
    return Lever(objective, of_target=of_target, by_volume=by_volume, offered=offered)
