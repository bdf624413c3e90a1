"""scorecard.json: the evaluation in the documented form that other programs read (docs/interfaces.md)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from appliance.contracts import Evaluation, SecondCheck

SCHEMA = "couchside.scorecard/1"
"""Grows only when a key changes its meaning or goes away; new keys may appear within a version."""


PARTS = (
    "trade_offs",
    "comparison",
    "explanations",
    "robustness",
    "deliverability",
    "image_context",
    "outcomes",
    "prior_course",
    "clinical_notes",
    "preference",
    "bands",
)
"""Fields of the Evaluation that are written as their contracts are (appliance/contracts, a file each)."""


LEFT_OUT = ("quote", "bands", "curve")
"""Left to the report and evaluation.json: whole statements of a note, which may name the patient, and curves."""


def scorecard(evaluation: Evaluation) -> dict[str, Any]:
    """Plain JSON types only. Values are unrounded: `met` can be recomputed from `value` and `limit`. The field names
    of GoalResult, TargetIndices, PlanFacts, Finding, TradeOff and Comparison are the documented keys."""
    whole = evaluation.plan_score
    return {
        "schema": SCHEMA,
        "not_for_clinical_use": True,
        "goal_set": evaluation.goal_set,
        "guideline": _part(evaluation.guideline),
        "goals_met": evaluation.goals_met,
        "goals_total": len(evaluation.goals),
        "goals_variation": whole.variations,
        "goals_failed": whole.failed,
        "score": whole.score,
        "max_score": whole.max_score,
        "goals": [asdict(goal) for goal in evaluation.goals],
        "worst_first": list(evaluation.worst_first),
        "findings": [asdict(finding) for finding in evaluation.findings],
        **{part: _part(getattr(evaluation, part)) for part in PARTS},
        "targets": [asdict(target) for target in evaluation.targets],
        "hottest_01cc_gy": evaluation.hottest_01cc_gy,
        "plan": {**asdict(evaluation.plan), "violations": list(evaluation.plan.violations)},
        "notes": list(evaluation.notes),
        "second_check": None if evaluation.second_check is None else _second_check(evaluation.second_check),
        "digests": {
            "plan": evaluation.plan_digest,
            "dose": evaluation.dose_digest,
            "goal_set": evaluation.goal_set_digest,
            "evaluation": evaluation.digest,
        },
    }


def _part(value: Any) -> Any:
    """A contract as plain JSON, lists for tuples; null where nobody asked for it."""
    if isinstance(value, tuple):
        return [_part(item) for item in value]
    return None if value is None else _shortened(asdict(value))


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items() if key not in LEFT_OUT}
    return [_shortened(item) for item in value] if isinstance(value, list | tuple) else value


def _second_check(check: SecondCheck) -> dict[str, Any]:
    """As documented: the fields by name, lists for tuples, the difference of each histogram figure beside its two."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(check).items()}
    structures = [{**asdict(item), "difference_gy": item.difference_gy} for item in check.structures]
    return {"available": check.available, **plain, "structures": structures}
