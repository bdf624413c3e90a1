"""scorecard.json: the evaluation in the documented form that other programs read (docs/interfaces.md)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from appliance.contracts import Evaluation, SecondCheck

SCHEMA = "couchside.scorecard/1"
"""Grows only when a key changes its meaning or goes away; new keys may appear within a version."""


def scorecard(evaluation: Evaluation) -> dict[str, Any]:
    """Plain JSON types only. Values are unrounded: `met` can be recomputed from `value` and `limit`. The field names
    of GoalResult, TargetIndices and PlanFacts are the documented keys."""
    return {
        "schema": SCHEMA,
        "not_for_clinical_use": True,
        "goal_set": evaluation.goal_set,
        "goals_met": evaluation.goals_met,
        "goals_total": len(evaluation.goals),
        "goals": [asdict(goal) for goal in evaluation.goals],
        "targets": [asdict(target) for target in evaluation.targets],
        "hottest_01cc_gy": evaluation.hottest_01cc_gy,
        "plan": {**asdict(evaluation.plan), "violations": list(evaluation.plan.violations)},
        "findings": [asdict(finding) for finding in evaluation.findings],
        "notes": list(evaluation.notes),
        "second_check": None if evaluation.second_check is None else _second_check(evaluation.second_check),
        "digests": {
            "plan": evaluation.plan_digest,
            "dose": evaluation.dose_digest,
            "goal_set": evaluation.goal_set_digest,
            "evaluation": evaluation.digest,
        },
    }


def _second_check(check: SecondCheck) -> dict[str, Any]:
    """As documented: the fields by name, lists for tuples, the difference of each histogram figure beside its two."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(check).items()}
    structures = [{**asdict(item), "difference_gy": item.difference_gy} for item in check.structures]
    return {"available": check.available, **plain, "structures": structures}
