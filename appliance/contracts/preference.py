"""Would this physician approve this plan, and why: plan features, what was decided, and the verdict."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter

FEATURE_SCHEMA = "couchside.preference-features/1"
"""Grows when a feature is added, removed or scaled anew; models and features of different schemas do not meet."""


@dataclass(frozen=True)
class FeatureValue:
    """One feature of one plan. value: in units of the feature's stated scale; None where the plan has no such thing
    (the patient lacks the organs, no scheduled plan), which then says nothing for or against."""

    name: str
    value: float | None


@dataclass(frozen=True)
class PlanFeatures:
    """What a preference may be about. site: as the goal set names it. features: every feature of the schema, in its
    order. digest of the evaluation they were computed from."""

    site: str
    features: tuple[FeatureValue, ...]
    evaluation_digest: str = ""
    schema: str = FEATURE_SCHEMA

    def value(self, name: str) -> float | None:
        return next((feature.value for feature in self.features if feature.name == name), None)


class Decision(StrEnum):
    """What a physician did. PREFERRED: `plan` was chosen over `other` (a comparison, or the plan after an edit over the
    plan before it). ASKED: wanted something better (the reason) without a verdict on the plan."""

    APPROVED = "approved"
    REJECTED = "rejected"
    CHOSE_SCHEDULED = "chose scheduled"
    PREFERRED = "preferred"
    ASKED = "asked"


@dataclass(frozen=True)
class PreferenceExample:
    """One decision, without patient data. id: the same decision has the same id wherever it is read from. reasons:
    codes of what spoke against `plan` (see evaluation.preference.reasons). other: the plan it was compared with; for
    CHOSE_SCHEDULED the scheduled one, which was chosen. decided_utc: ISO 8601. shown: the probability that the
    physician was shown before deciding, None for none: who is shown a prediction may follow it."""

    id: str
    physician: str
    decision: Decision
    plan: PlanFeatures
    decided_utc: str
    case_digest: str
    other: PlanFeatures | None = None
    reasons: tuple[str, ...] = ()
    session_id: str = ""
    shown: float | None = None

    def to_json(self) -> bytes:
        return _EXAMPLE.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> PreferenceExample:
        return _EXAMPLE.validate_json(data)


class Basis(StrEnum):
    """What a verdict rests on."""

    NO_MODEL = "no model is active"
    CLINIC = "the clinic's preference: nothing is known of this physician"
    PERSONAL = "the clinic's preference and this physician's own decisions"


@dataclass(frozen=True)
class Attribution:
    """What one feature adds to the verdict, in logits of probability: positive speaks for approval. All contributions
    and `PreferenceVerdict.base_logit` sum to its `logit`. personal: the part in which this physician differs from the
    clinic. value and typical in the feature's `unit`; None where the plan has no such thing."""

    feature: str
    title: str
    unit: str
    value: float | None
    typical: float
    contribution: float
    personal: float


@dataclass(frozen=True)
class PreferenceVerdict:
    """probability: that this physician approves, None where no model is active. low, high: credible interval of
    `coverage`. base_logit: of a plan that violates nothing and is otherwise typical. own_cases, clinic_cases: decisions
    learned from. calibrated: the sentence that says how the probability was held to what happened, '' where it was not.
    warnings: drift, bias, a site or plan unlike those learned from."""

    basis: Basis
    sentence: str
    physician: str = ""
    probability: float | None = None
    low: float | None = None
    high: float | None = None
    coverage: float = 0.9
    logit: float | None = None
    base_logit: float | None = None
    attributions: tuple[Attribution, ...] = ()
    own_cases: int = 0
    clinic_cases: int = 0
    clinic_physicians: int = 0
    calibrated: str = ""
    model_digest: str = ""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        return _VERDICT.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> PreferenceVerdict:
        return _VERDICT.validate_json(data)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()


_EXAMPLE = TypeAdapter(PreferenceExample)
_VERDICT = TypeAdapter(PreferenceVerdict)
