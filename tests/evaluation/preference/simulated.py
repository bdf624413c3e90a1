"""Physicians whose weights are known, deciding on plans that are drawn: what the model has to find again.

Nobody here is a person. A simulated physician approves with probability sigma(base + weights · features), names as
reason the part that weighs most against the plan (with noise), and prefers of two plans the one worth more (with
noise).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.preference import Decision, FeatureValue, PlanFeatures, PreferenceExample
from appliance.evaluation.preference.catalogue import FEATURES, NAMES
from appliance.evaluation.preference.evidence import choices_of

Vector = NDArray[np.float64]
SITES = {
    "head-neck": ("nerve", "gland", "swallow", "bone"),
    "prostate": ("bowel", "bladder", "bone"),
    "lung": ("lung", "heart", "nerve", "swallow"),
}
"""Which classes of organs a site has; a third of the patients lack one of them."""


def draw_plan(random: np.random.Generator, site: str = "head-neck") -> PlanFeatures:
    classes = [name for name in SITES[site] if random.random() > 0.12]
    values = []
    for feature in FEATURES:
        group, kind = feature.name.split(".")
        organ = kind in ("over", "spared") and group != "target"
        value: float | None
        if organ and group not in classes:
            value = 0.0 if feature.one_sided else None
        elif feature.one_sided:
            value = max(0.0, float(random.normal(-0.3, 1.2)))
        else:
            value = float(random.normal(1.0, 1.0))
        values.append(FeatureValue(feature.name, value))
    return PlanFeatures(site, tuple(values))


@dataclass
class Physician:
    """weights (1 + features,): base, then one a feature, for values minus `typical`."""

    name: str
    weights: Vector
    typical: Vector
    random: np.random.Generator
    count: int = field(default=0)

    def worth(self, plan: PlanFeatures) -> float:
        away = [0.0 if f.value is None else f.value - t for f, t in zip(plan.features, self.typical, strict=True)]
        return float(self.weights @ np.array([1.0, *away]))

    def probability(self, plan: PlanFeatures) -> float:
        return 1.0 / (1.0 + float(np.exp(-self.worth(plan))))

    def decide(self, plan: PlanFeatures, *, reasons: bool = True, case: str = "") -> PreferenceExample:
        approved = self.random.random() < self.probability(plan)
        decision = Decision.APPROVED if approved else Decision.REJECTED
        named = () if approved or not reasons else self._reason(plan)
        return self._example(plan, decision, case, reasons=named)

    def prefer(self, one: PlanFeatures, two: PlanFeatures, case: str = "") -> PreferenceExample:
        difference = self.worth(one) - self.worth(two)
        first = self.random.random() < 1.0 / (1.0 + np.exp(-difference))
        return self._example(one if first else two, Decision.PREFERRED, case, other=two if first else one)

    def _example(
        self,
        plan: PlanFeatures,
        decision: Decision,
        case: str,
        *,
        other: PlanFeatures | None = None,
        reasons: tuple[str, ...] = (),
    ) -> PreferenceExample:
        self.count += 1
        minute = f"{self.count // 1440:02d}T{self.count % 1440 // 60:02d}:{self.count % 60:02d}:00Z"
        identity = f"{self.name}-{self.count}"
        return PreferenceExample(
            identity, self.name, decision, plan, f"2030-01-{minute}", case or identity, other=other, reasons=reasons
        )

    def _reason(self, plan: PlanFeatures) -> tuple[str, ...]:
        """One code, drawn as the model supposes: the worse a part, the likelier it is named."""
        codes = list(dict.fromkeys(feature.reason for feature in FEATURES))
        found = {}
        for code in codes:
            asked = PreferenceExample("x", self.name, Decision.ASKED, plan, "", "", reasons=(code,))
            if choice := choices_of(asked, tuple(self.typical.tolist())):
                found[code] = float(choice[0][0][0] @ self.weights)
        if not found:
            return ()
        noisy = {code: worth + float(self.random.gumbel()) for code, worth in found.items()}
        return (max(noisy, key=lambda code: noisy[code]),)


def clinic(random: np.random.Generator, physicians: int, *, deviation: float = 0.3) -> list[Physician]:
    """Physicians of one clinic: weights in the undisputed direction on average, each with deviations of his own."""
    typical = np.array([0.0 if feature.one_sided else 1.0 for feature in FEATURES])
    mean = np.array([1.0, *(feature.better * abs(random.normal(0.0, 0.7)) for feature in FEATURES)])
    return [
        Physician(
            f"Dr {number}",
            mean + random.normal(0.0, deviation, 1 + len(NAMES)),
            typical,
            np.random.default_rng([int(random.integers(1 << 30)), number]),
        )
        for number in range(physicians)
    ]
