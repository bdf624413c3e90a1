"""How a caller makes decisions of what happened: a review, an edit, a comparison."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from appliance.contracts.evaluation import Evaluation
from appliance.contracts.preference import Decision, PlanFeatures, PreferenceExample
from appliance.evaluation.guidelines.shipped import list_goal_sets
from appliance.evaluation.preference.features import plan_features
from appliance.evaluation.preference.reasons import reasons_in


@dataclass(frozen=True)
class Occasion:
    """Who decided, when, about which case. id: unique to the decision, such as the hash of its audit row."""

    id: str
    physician: str
    decided_utc: str
    case_digest: str
    session_id: str = ""


_ROLE = re.compile(r" \((?:physician|physicist|demo)\)(?:, told by .*)?$")


def physician_of(actor: str) -> str:
    """'Dr A (physician)', as the audit log names who approved, is 'Dr A'; so is 'Dr A (physician), told by uid
    1000'."""
    return _ROLE.sub("", actor).strip()


def site_of(evaluation: Evaluation) -> str:
    """Of the goal set the plan was judged by; its name where it does not ship with Couchside."""
    known = {goal_set.name: goal_set.site for goal_set in list_goal_sets()}
    return known.get(evaluation.goal_set, evaluation.goal_set)


def features_of(evaluation: Evaluation, scheduled: Evaluation | None = None) -> PlanFeatures:
    """`plan_features` with the site that the goal set names."""
    return plan_features(evaluation, site=site_of(evaluation), scheduled=scheduled)


def example_of_review(
    occasion: Occasion,
    decision: Decision,
    evaluation: Evaluation,
    *,
    scheduled: Evaluation | None = None,
    why: str = "",
) -> PreferenceExample:
    """One plan, approved, rejected or passed over for the scheduled one. why: the reason typed, searched for codes."""
    other = features_of(scheduled) if decision is Decision.CHOSE_SCHEDULED and scheduled is not None else None
    reasons = () if decision is Decision.APPROVED else reasons_in(why)
    example = _example(occasion, decision, features_of(evaluation, scheduled), other, reasons)
    told = evaluation.preference
    return example if told is None else replace(example, shown=told.probability)


def example_of_edit(occasion: Occasion, before: Evaluation, after: Evaluation) -> PreferenceExample:
    """An edit that the physician kept: the plan after it was preferred to the plan before it."""
    return _example(occasion, Decision.PREFERRED, features_of(after), features_of(before), ())


def example_of_request(occasion: Occasion, evaluation: Evaluation, why: str) -> PreferenceExample:
    """'Lower the left parotid': something was asked for, and the plan was not judged. Only the reason is learned."""
    return _example(occasion, Decision.ASKED, features_of(evaluation), None, reasons_in(why))


def _example(
    occasion: Occasion,
    decision: Decision,
    plan: PlanFeatures,
    other: PlanFeatures | None,
    reasons: tuple[str, ...],
) -> PreferenceExample:
    return PreferenceExample(
        id=occasion.id,
        physician=occasion.physician,
        decision=decision,
        plan=plan,
        decided_utc=occasion.decided_utc,
        case_digest=occasion.case_digest,
        other=other,
        reasons=reasons,
        session_id=occasion.session_id,
    )
