"""scorecard.json: the evaluation in the documented form that other programs read (docs/interfaces.md)."""

from __future__ import annotations

from typing import Any

from appliance.contracts import Evaluation

SCHEMA = "couchside.scorecard/1"
"""Grows only when a key changes its meaning or goes away; new keys may appear within a version."""


def scorecard(evaluation: Evaluation) -> dict[str, Any]:
    """Plain JSON types only. Values are unrounded: `met` can be recomputed from `value` and `limit`."""
    facts = evaluation.plan
    return {
        "schema": SCHEMA,
        "not_for_clinical_use": True,
        "goal_set": evaluation.goal_set,
        "goals_met": evaluation.goals_met,
        "goals_total": len(evaluation.goals),
        "goals": [
            {
                "structure": goal.structure,
                "metric": goal.metric,
                "comparator": goal.comparator,
                "limit": goal.limit,
                "unit": goal.unit,
                "value": goal.value,
                "met": goal.met,
                "priority": goal.priority,
                "source": goal.source,
                "approximate": goal.approximate,
            }
            for goal in evaluation.goals
        ],
        "targets": [
            {
                "structure": target.structure,
                "prescribed_gy": target.prescribed_gy,
                "paddick_conformity": target.paddick_conformity,
                "homogeneity": target.homogeneity,
            }
            for target in evaluation.targets
        ],
        "hottest_01cc_gy": evaluation.hottest_01cc_gy,
        "plan": {
            "mu": facts.mu,
            "beams": facts.beams,
            "control_points": facts.control_points,
            "segments": facts.segments,
            "deliverable": facts.deliverable,
            "violations": list(facts.violations),
            "delivery_time_s": facts.delivery_time_s,
        },
        "notes": list(evaluation.notes),
        "digests": {
            "plan": evaluation.plan_digest,
            "dose": evaluation.dose_digest,
            "goal_set": evaluation.goal_set_digest,
            "evaluation": evaluation.digest,
        },
    }
