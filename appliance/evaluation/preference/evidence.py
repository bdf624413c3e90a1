"""From decisions to choices among options, the only thing the engine learns from.

- approved, rejected: the plan against leaving it, which is worth zero (logistic).
- preferred: one plan against another (Bradley-Terry).
- chose scheduled: not approved; and the scheduled plan over the adapted one, with half the weight, because both come
  from one decision.
- reasons: which part of the plan weighed most against it: a choice among its parts, each worth minus what it
  contributes. It sharpens weights against each other without pushing all of them up, as a comparison with an imagined
  better plan would.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.preference import FEATURE_SCHEMA, Decision, PlanFeatures, PreferenceExample
from appliance.errors import PreferenceRefused
from appliance.evaluation.preference.catalogue import FEATURES, NAMES
from appliance.evaluation.preference.reasons import CODES
from engines.preference import Evidence

Vector = NDArray[np.float64]

SIZE = 1 + len(FEATURES)
"""Weights of a person: what a plan that violates nothing is worth, then one a feature."""

SCHEDULED_WEIGHT = 0.5
REASON_WEIGHT = 0.5
"""Weights below 1 of what is said beside a verdict. Chosen; with reasons at full weight, physicians who always name the
worst part (where the model supposes chance) make it too sure of itself (bench/preference.py: docs)."""

VERDICTS = (Decision.APPROVED, Decision.REJECTED, Decision.CHOSE_SCHEDULED)
"""Decisions that say whether the plan was approved."""

_GROUPS = tuple(tuple(i for i, feature in enumerate(FEATURES) if feature.reason == code) for code in CODES)


def typical_values(plans: Iterable[PlanFeatures]) -> tuple[float, ...]:
    """Where each feature is said to be neutral: 0 if one-sided, else the mean of the plans that have it (0 if none)."""
    seen: list[list[float]] = [[] for _ in FEATURES]
    for plan in plans:
        for values, value in zip(seen, raw_values(plan), strict=True):
            if value is not None:
                values.append(value)
    return tuple(
        0.0 if feature.one_sided or not values else math.fsum(values) / len(values)
        for feature, values in zip(FEATURES, seen, strict=True)
    )


def raw_values(plan: PlanFeatures) -> tuple[float | None, ...]:
    """In the order of the catalogue. Raises PreferenceRefused for features of another schema."""
    if plan.schema != FEATURE_SCHEMA or tuple(feature.name for feature in plan.features) != NAMES:
        raise PreferenceRefused(
            f"the plan's features are of the form '{plan.schema}' and this release learns from '{FEATURE_SCHEMA}'; "
            "compute them again from the evaluation"
        )
    return tuple(feature.value for feature in plan.features)


def edges_of(plans: Iterable[PlanFeatures]) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """(lowest, highest) value of each feature; None for one that no plan has."""
    seen = list(zip(*(raw_values(plan) for plan in plans), strict=True))
    had = [[value for value in values if value is not None] for values in seen]
    return tuple(min(v, default=None) for v in had), tuple(max(v, default=None) for v in had)


def row_of(plan: PlanFeatures, typical: Sequence[float]) -> Vector:
    """(SIZE,): 1, then each value minus what is typical; 0 for what the plan does not have."""
    away = [0.0 if value is None else value - middle for value, middle in zip(raw_values(plan), typical, strict=True)]
    return np.array([1.0, *away])


def evidence_of(examples: Iterable[PreferenceExample], typical: Sequence[float]) -> Evidence:
    """Raises PreferenceRefused for features of another schema."""
    return Evidence.of(SIZE, [choice for example in examples for choice in choices_of(example, typical)])


def choices_of(example: PreferenceExample, typical: Sequence[float]) -> list[tuple[Vector, float]]:
    """(options with the chosen one first, weight) of every choice that the decision holds."""
    row = row_of(example.plan, typical)
    left = np.zeros(SIZE)
    choices: list[tuple[Vector, float]] = []
    if example.decision in VERDICTS:
        approved = example.decision is Decision.APPROVED
        choices.append((np.stack((row, left) if approved else (left, row)), 1.0))
    if example.other is not None:
        difference = _difference(example.plan, example.other, typical)
        if example.decision is Decision.PREFERRED:
            choices.append((np.stack((difference, left)), 1.0))
        elif example.decision is Decision.CHOSE_SCHEDULED:
            choices.append((np.stack((-difference, left)), SCHEDULED_WEIGHT))
    return choices + _reasons(example, row)


def _difference(plan: PlanFeatures, other: PlanFeatures, typical: Sequence[float]) -> Vector:
    """Plan minus other; 0 for what one of them does not have, and for the part of a plan that has no feature."""
    both = [a is not None and b is not None for a, b in zip(raw_values(plan), raw_values(other), strict=True)]
    kept = np.array([0.0, *map(float, both)])
    return np.asarray((row_of(plan, typical) - row_of(other, typical)) * kept, np.float64)


def _reasons(example: PreferenceExample, row: Vector) -> list[tuple[Vector, float]]:
    values = raw_values(example.plan)
    menu: dict[str, Vector] = {}
    for code, group in zip(CODES, _GROUPS, strict=True):
        if any(_there(index, values[index]) for index in group):
            part = np.zeros(SIZE)
            for index in group:
                part[1 + index] = -row[1 + index]
            menu[code] = part
    named = [code for code in example.reasons if code in menu]
    if len(menu) < 2:
        return []
    return [
        (np.stack([menu[code], *(part for other, part in menu.items() if other != code)]), REASON_WEIGHT / len(named))
        for code in named
    ]


def _there(index: int, value: float | None) -> bool:
    """A one-sided feature at 0 has nothing that anybody could object to."""
    return value is not None and not (FEATURES[index].one_sided and value == 0.0)
