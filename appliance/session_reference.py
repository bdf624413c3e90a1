"""What planning takes of the plan that is adapted: where to begin, and what of its limits today's goals do not say."""

from __future__ import annotations

from appliance.config import PlanningConfig
from appliance.contracts import Case, Comparator, GoalSet, MetricKind, ReferenceStart

HIGHEST_CC = 0.1
"""The dose of at most so small a volume counts as the highest dose of an organ (chosen: as of hot spots)."""


def reference_start(planning: PlanningConfig, case: Case) -> ReferenceStart | None:
    """Where a plan is adapted and shall be begun with. The template's plan is of the template alone."""
    if case.reference_plan is None or planning.start != "reference" or planning.policy == "template":
        return None
    return ReferenceStart(case.reference_plan, case.target_shift_mm)


def limit_notes(case: Case, goal_set: GoalSet) -> list[str]:
    """Highest doses of organs that the plan states and today's goals do not ask for, or not as strictly: they are the
    guideline's, and whoever judges the plan should know."""
    notes = []
    for limit in case.reference_limits:
        own = [
            goal
            for goal in goal_set.goals
            if limit.structure in goal.structure.split("+") and goal.comparator is Comparator.AT_MOST
            and (goal.metric.kind is MetricKind.MAX or _is_highest(goal.metric.kind, goal.metric.argument))
        ]  # fmt: skip
        if any(goal.limit <= limit.most_gy for goal in own):
            continue
        said = f"today's goal is {own[0]}" if own else "today's goals say nothing of its highest dose"
        notes.append(f"The received plan allows {limit.structure} at most {limit.most_gy:g} Gy; {said}")
    return notes


def _is_highest(kind: MetricKind, argument: float) -> bool:
    return kind is MetricKind.DOSE_AT_CC and argument <= HIGHEST_CC
