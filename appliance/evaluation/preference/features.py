"""The features of one plan, from its evaluation: nothing is looked at that the physician was not shown.

For every goal, r is its value divided by its limit (for a lower limit 2 minus that), so that 1 is at the limit and
more is worse. What is `over` is the sum of r - 1 over the goals that exceed; what is `spared` the mean of 1 - r, goals
that exceed counted as 0. So an organ that a patient lacks adds nothing to what is over, and leaves what is spared
where the other organs of its class have it; a class of which the patient has none is 0 over, and has no `spared`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from appliance.contracts.evaluation import Evaluation
from appliance.contracts.goal_result import GoalResult
from appliance.contracts.goals import Comparator
from appliance.contracts.preference import FeatureValue, PlanFeatures
from appliance.errors import EvaluationError
from appliance.evaluation.preference.catalogue import FEATURES
from appliance.evaluation.preference.organ_classes import CLASSES, TARGET, class_of

SMALLEST_LIMIT = 1.0
"""Gy, % or cc that a limit counts with at least, so that a limit of 0 can be divided by. Chosen."""

Raw = dict[str, float | None]


def plan_features(evaluation: Evaluation, *, site: str, scheduled: Evaluation | None = None) -> PlanFeatures:
    """site: as the goal set names it. scheduled: the received plan judged on today's anatomy; without it, what the
    evaluation's own comparison says of it counts. Raises EvaluationError if a number of the evaluation is not
    finite."""
    raw = _targets(evaluation) | _organs(evaluation.goals) | _machine(evaluation) | _against(evaluation, scheduled)
    values = []
    for feature in FEATURES:
        quantity = raw[feature.name]
        if quantity is not None and not math.isfinite(quantity):
            raise EvaluationError(f"'{feature.title}' is not a finite number, so no preference can be judged")
        scaled = None if quantity is None else max(-feature.most, min(feature.most, quantity / feature.scale))
        values.append(FeatureValue(feature.name, scaled))
    return PlanFeatures(site, tuple(values), evaluation.digest)


def relative(goal: GoalResult) -> float:
    """1 at the limit, more is worse; no unit. Raises EvaluationError for a value that is no finite number: a comparison
    with it would count as nothing wrong."""
    if not math.isfinite(goal.value) or not math.isfinite(goal.limit):
        raise EvaluationError(f"{goal.structure} {goal.metric} is not a finite number, so no preference can be judged")
    ratio = goal.value / max(goal.limit, SMALLEST_LIMIT)
    return ratio if goal.comparator == Comparator.AT_MOST else 2.0 - ratio


def _over(goals: Sequence[GoalResult]) -> float:
    return math.fsum(max(0.0, relative(goal) - 1.0) for goal in goals)


def _below(goals: Sequence[GoalResult]) -> float | None:
    return math.fsum(max(0.0, 1.0 - relative(goal)) for goal in goals) / len(goals) if goals else None


def _targets(evaluation: Evaluation) -> Raw:
    goals = [goal for goal in evaluation.goals if class_of(goal.structure) == TARGET]
    lower = [goal for goal in goals if goal.comparator == Comparator.AT_LEAST]
    upper = [goal for goal in goals if goal.comparator == Comparator.AT_MOST]
    highest_gy = max((target.prescribed_gy for target in evaluation.targets), default=0.0)
    count = len(evaluation.targets)
    return {
        "target.short": _over(lower),
        "target.margin": _below(lower),
        "target.over": _over(upper),
        "target.hot_spot": evaluation.hottest_01cc_gy / highest_gy - 1.0 if highest_gy > 0 else None,
        "target.conformity": math.fsum(1.0 - t.paddick_conformity for t in evaluation.targets) / count
        if count
        else None,
        "target.heterogeneity": math.fsum(t.homogeneity for t in evaluation.targets) / count if count else None,
    }


def _organs(goals: Sequence[GoalResult]) -> Raw:
    raw: Raw = {}
    for name in CLASSES:
        own = [goal for goal in goals if class_of(goal.structure) == name]
        raw |= {f"{name}.over": _over(own), f"{name}.spared": _below(own)}
    return raw


def _machine(evaluation: Evaluation) -> Raw:
    """0 is how PlanFacts says that a figure is not known."""
    facts = evaluation.plan
    top = min((goal.priority for goal in evaluation.goals), default=0)
    return {
        "goals.first_missed": float(sum(not goal.met for goal in evaluation.goals if goal.priority == top)),
        "machine.mu_per_gy": facts.mu_per_gy or None,
        "machine.minutes": facts.delivery_time_s / 60.0 or None,
        "machine.complexity": 1.0 - facts.mcs if facts.mcs else None,
    }


def _against(evaluation: Evaluation, scheduled: Evaluation | None) -> Raw:
    """What the plan gains on the scheduled one, over the goals that both were judged by."""
    before = _compared(evaluation) if scheduled is None else {goal.key: goal for goal in scheduled.goals}
    both = [(goal, before[goal.key]) for goal in evaluation.goals if goal.key in before]
    targets = [relative(old) - relative(new) for new, old in both if class_of(new.structure) == TARGET]
    organs = [relative(old) - relative(new) for new, old in both if class_of(new.structure) != TARGET]
    return {
        "adapted.coverage": math.fsum(targets) / len(targets) if targets else None,
        "adapted.organs": math.fsum(organs) / len(organs) if organs else None,
        "adapted.goals": float(sum(new.met for new, _ in both) - sum(old.met for _, old in both)) if both else None,
    }


def _compared(evaluation: Evaluation) -> dict[tuple[str, str, str], GoalResult]:
    """The scheduled plan's goals as the comparison holds them."""
    rows = () if evaluation.comparison is None else evaluation.comparison.goals
    old = {(row.structure, row.metric, row.comparator): row.scheduled.value for row in rows if row.scheduled}
    return {
        goal.key: replace(goal, value=old[goal.key], met=_met(goal, old[goal.key]))
        for goal in evaluation.goals
        if goal.key in old
    }


def _met(goal: GoalResult, value: float) -> bool:
    return value <= goal.limit if goal.comparator == Comparator.AT_MOST else value >= goal.limit
