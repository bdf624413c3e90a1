"""The features of a plan that a preference is learned about: what each means, its unit, scale and reason code.

A feature's value is a quantity divided by its `scale` (both stated here, fixed, so that a model learned yesterday means
the same today) and held within `most`. Two kinds:

- one-sided (`typical` is 0): how much is wrong. Nothing wrong is 0, and so is an organ that the patient lacks.
- two-sided: where a typical plan is not at 0. The fitted model carries the mean of the plans it has seen; what a plan
  lacks is taken as that mean, so that it speaks neither for nor against.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.evaluation.preference.organ_classes import CLASSES, OrganClass


@dataclass(frozen=True)
class Feature:
    """better: -1 where less is better for the patient, as far as that is undisputed, +1 where more is. reason: the code
    under which a physician names it. unit: of one unit of the value."""

    name: str
    title: str
    unit: str
    scale: float
    most: float
    better: int
    reason: str
    one_sided: bool


def _organ(name: str, group: OrganClass) -> tuple[Feature, Feature]:
    over, spared = f"{group.words}: over the limits", f"{group.words}: below the limits"
    unit = f"{100 * group.excess:g} % of the limit"
    return (
        Feature(f"{name}.over", over, unit, group.excess, 6.0, -1, name, True),
        Feature(f"{name}.spared", spared, "25 % of the limit", 0.25, 4.0, 1, name, False),
    )


_TARGET = (
    Feature("target.short", "targets: coverage short of the goals", "2 % of the dose asked for", 0.02, 6.0, -1,
            "coverage", True),
    Feature("target.margin", "targets: coverage beyond the goals", "2 % of the dose asked for", 0.02, 4.0, 1,
            "coverage", False),
    Feature("target.over", "targets: over their upper limits", "2 % of the limit", 0.02, 6.0, -1, "hot_spot", True),
    Feature("target.hot_spot", "hottest 0.1 cc above the prescription", "5 % of the prescription", 0.05, 6.0, -1,
            "hot_spot", False),
    Feature("target.conformity", "dose outside the targets (1 - Paddick)", "0.1", 0.1, 10.0, -1, "conformity", False),
    Feature("target.heterogeneity", "spread of dose in the targets (D2 - D98) / D50", "0.05", 0.05, 10.0, -1,
            "homogeneity", False),
)  # fmt: skip

_PLAN = (
    Feature("goals.first_missed", "most important goals missed", "one goal", 1.0, 4.0, -1, "goals", True),
    Feature("machine.mu_per_gy", "monitor units per Gy", "100 MU/Gy", 100.0, 20.0, -1, "monitor_units", False),
    Feature("machine.minutes", "delivery time", "2 min", 2.0, 10.0, -1, "time", False),
    Feature("machine.complexity", "intricacy of the apertures (1 - MCS)", "0.2", 0.2, 5.0, -1, "complexity", False),
    Feature("adapted.coverage", "targets: coverage gained on the scheduled plan", "2 % of the dose asked for", 0.02,
            6.0, 1, "scheduled", False),
    Feature("adapted.organs", "organs: dose lower than in the scheduled plan", "10 % of the limit", 0.1, 6.0, 1,
            "scheduled", False),
    Feature("adapted.goals", "goals gained on the scheduled plan", "one goal", 1.0, 6.0, 1, "scheduled", False),
)  # fmt: skip

FEATURES: tuple[Feature, ...] = (
    *_TARGET,
    *(feature for name, group in CLASSES.items() for feature in _organ(name, group)),
    *_PLAN,
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
BY_NAME = {feature.name: feature for feature in FEATURES}
