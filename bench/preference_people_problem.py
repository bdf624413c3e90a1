"""Simulated physicians for bench/preference.py: weights that are known, because they are drawn. Nobody here is a
person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.preference import Decision, PlanFeatures, PreferenceExample
from appliance.evaluation.preference.catalogue import FEATURES, NAMES
from appliance.evaluation.preference.evidence import raw_values, row_of, typical_values

Vector = NDArray[np.float64]

MEAN = {
    "target.short": -0.7, "target.margin": 0.2, "target.hot_spot": -0.7, "target.conformity": -0.3,
    "target.heterogeneity": -0.3, "nerve.over": -1.0, "nerve.spared": 0.3, "gland.over": -0.5, "gland.spared": 0.6,
    "swallow.over": -0.7, "swallow.spared": 0.5, "bone.over": -0.4, "bone.spared": 0.1, "goals.first_missed": -0.6,
    "machine.mu_per_gy": -0.2, "machine.minutes": -0.4, "machine.complexity": -0.2, "adapted.coverage": 0.1,
    "adapted.organs": 0.5, "adapted.goals": 0.3,
}  # fmt: skip
"""Logits a unit of the average physician. Made up: in the undisputed direction, of a size that makes plans differ."""
LAPSE = 0.02
"""Decisions made at random: the model does not know of them."""


@dataclass
class Physician:
    """weights (1 + features,) for values minus `typical`."""

    name: str
    weights: Vector
    typical: tuple[float, ...]
    random: np.random.Generator
    count: int = field(default=0)

    def worth(self, plan: PlanFeatures) -> float:
        return float(self.weights @ row_of(plan, self.typical))

    def says(self, plan: PlanFeatures) -> bool:
        if self.random.random() < LAPSE:
            return bool(self.random.random() < 0.5)
        return bool(self.random.random() < 1.0 / (1.0 + np.exp(-self.worth(plan))))

    def probabilities(self, rows: Vector, typical: Sequence[float]) -> Vector:
        """Of rows made with another model's typical values; lapses included. Only where nothing is missing alike."""
        shift = np.concatenate(([0.0], np.array(typical) - np.array(self.typical)))
        worth = rows @ self.weights + float(self.weights @ shift)
        return np.asarray((1.0 - LAPSE) / (1.0 + np.exp(-worth)) + LAPSE / 2.0)

    def decide(self, plan: PlanFeatures, case: str = "") -> PreferenceExample:
        self.count += 1
        approved = self.says(plan)
        identity = f"{self.name}-{self.count}"
        return PreferenceExample(
            id=identity,
            physician=self.name.split("'")[0],
            decision=Decision.APPROVED if approved else Decision.REJECTED,
            plan=plan,
            decided_utc=f"2030-01-01T00:00:00.{self.count:06d}Z",
            case_digest=case or identity,
            reasons=() if approved else self._reason(plan),
        )

    def _reason(self, plan: PlanFeatures) -> tuple[str, ...]:
        """What weighs most against the plan; one in four times the second most. Not as the model supposes it."""
        row, values = row_of(plan, self.typical), raw_values(plan)
        against: dict[str, float] = {}
        for feature, value, away, weight in zip(FEATURES, values, row[1:], self.weights[1:], strict=True):
            if value is not None and not (feature.one_sided and value == 0.0):
                against[feature.reason] = against.get(feature.reason, 0.0) - float(weight * away)
        ordered = sorted(against, key=lambda code: -against[code])
        return (ordered[1 if len(ordered) > 1 and self.random.random() < 0.25 else 0],) if ordered else ()

    def turned(self) -> Physician:
        """Cares half as much for targets, and twice as much for organs, as before."""
        factor = np.array([1.0, *(0.3 if name.startswith("target") else 2.0 for name in NAMES)])
        return replace(self, name=f"{self.name}'t", weights=self.weights * factor, count=self.count)


def clinic(plans: Sequence[PlanFeatures], people: int, *, apart: float = 0.5, seed: int = 5) -> list[Physician]:
    """Weights lie around MEAN by a factor (log-normal, `apart`) and an offset (0.3 apart); the base makes about half
    of the plans acceptable, give or take 0.7 logits."""
    random = np.random.default_rng(seed)
    typical = typical_values(plans)
    rows = np.array([row_of(plan, typical) for plan in plans])
    mean = np.array([MEAN.get(name, 0.0) for name in NAMES])
    known = np.array([name in MEAN for name in NAMES])
    made = []
    for number in range(people):
        own = mean * np.exp(random.normal(0.0, apart, len(mean))) + known * random.normal(0.0, 0.3 * apart, len(mean))
        base = -float(np.median(rows[:, 1:] @ own)) + random.normal(0.0, 0.7)
        weights = np.concatenate(([base], own))
        made.append(Physician(f"Dr {number}", weights, typical, np.random.default_rng([seed, number])))
    return made
