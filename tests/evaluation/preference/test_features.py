"""Features of hand-made evaluations: what each is worth, and that a missing organ changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contracts import Comparison, Evaluation, GoalResult, PlanFacts, TargetIndices
from appliance.contracts.preference import PlanFeatures
from appliance.errors import EvaluationError
from appliance.evaluation.preference import plan_features
from appliance.evaluation.preference.catalogue import BY_NAME, FEATURES, NAMES
from appliance.evaluation.preference.organ_classes import CLASSES, class_of

FACTS = PlanFacts(600.0, 9, 180, 90, True, delivery_time_s=240.0, mcs=0.3, mu_per_gy=300.0)


def goal(structure: str, comparator: str, limit: float, value: float, priority: int = 2) -> GoalResult:
    met = value <= limit if comparator == "<=" else value >= limit
    return GoalResult(structure, "Mean", comparator, limit, "Gy", value, met, priority, "a test")


def evaluation(*goals: GoalResult, **changed: object) -> Evaluation:
    made = Evaluation(
        goals=goals,
        dvh=(),
        targets=(TargetIndices("PTV", 60.0, 0.8, 0.1),),
        plan=FACTS,
        hottest_01cc_gy=66.0,
        plan_digest="p",
        dose_digest="d",
        goal_set="g",
        goal_set_digest="g",
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def values(*goals: GoalResult, scheduled: Evaluation | None = None) -> dict[str, float | None]:
    made = plan_features(evaluation(*goals), site="x", scheduled=scheduled)
    return {feature.name: feature.value for feature in made.features}


def test_every_feature_is_there_in_order_with_a_title_unit_scale_and_reason() -> None:
    made: PlanFeatures = plan_features(evaluation(), site="x")
    assert tuple(feature.name for feature in made.features) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    assert all(f.title and f.unit and f.scale > 0 and f.most > 0 and f.reason and f.better in (-1, 1) for f in FEATURES)


def test_an_organ_over_its_limit_by_hand() -> None:
    found = values(goal("Parotid_L", "<=", 26.0, 31.2), goal("Parotid_R", "<=", 26.0, 13.0))
    assert found["gland.over"] == pytest.approx(0.2 / 0.2)
    assert found["gland.spared"] == pytest.approx((0.0 + 0.5) / 2 / 0.25)


def test_target_coverage_by_hand() -> None:
    found = values(goal("PTV", ">=", 50.0, 49.0), goal("PTV+PTV_6300", ">=", 50.0, 51.0))
    assert found["target.short"] == pytest.approx(0.02 / 0.02)
    assert found["target.margin"] == pytest.approx(0.02 / 2 / 0.02)


def test_plan_figures_by_hand() -> None:
    found = values(goal("PTV", ">=", 50.0, 49.0, priority=1))
    assert found["target.hot_spot"] == pytest.approx(0.1 / 0.05)
    assert found["target.conformity"] == pytest.approx(0.2 / 0.1)
    assert found["target.heterogeneity"] == pytest.approx(0.1 / 0.05)
    assert found["machine.mu_per_gy"] == pytest.approx(3.0)
    assert found["machine.minutes"] == pytest.approx(2.0)
    assert found["machine.complexity"] == pytest.approx(0.7 / 0.2)
    assert found["goals.first_missed"] == 1.0


def test_the_gain_on_the_scheduled_plan_by_hand() -> None:
    new = (goal("PTV", ">=", 50.0, 50.0), goal("Rectum", "<=", 40.0, 36.0))
    old = evaluation(goal("PTV", ">=", 50.0, 48.0), goal("Rectum", "<=", 40.0, 44.0), goal("Bladder", "<=", 40.0, 60.0))
    found = values(*new, scheduled=old)
    assert found["adapted.coverage"] == pytest.approx(0.04 / 0.02)
    assert found["adapted.organs"] == pytest.approx(0.2 / 0.1)
    assert found["adapted.goals"] == 2.0


def test_the_evaluations_own_comparison_says_the_same_of_the_scheduled_plan() -> None:
    new = evaluation(goal("PTV", ">=", 50.0, 50.0), goal("Rectum", "<=", 40.0, 36.0))
    old = evaluation(goal("PTV", ">=", 50.0, 48.0), goal("Rectum", "<=", 40.0, 44.0))
    told = replace(new, comparison=Comparison.of(new, old))
    assert plan_features(told, site="x").features == plan_features(new, site="x", scheduled=old).features


def test_without_a_scheduled_plan_there_is_no_gain() -> None:
    found = values(goal("PTV", ">=", 50.0, 50.0))
    assert [found[name] for name in NAMES if name.startswith("adapted")] == [None, None, None]


def test_unknown_machine_figures_are_missing_and_not_zero() -> None:
    bare = evaluation(plan=replace(FACTS, mcs=0.0, mu_per_gy=0.0, delivery_time_s=0.0))
    made = plan_features(bare, site="x")
    assert [made.value(name) for name in NAMES if name.startswith("machine")] == [None, None, None]


def test_an_organ_that_the_patient_lacks_changes_nothing() -> None:
    both = values(goal("Parotid_L", "<=", 26.0, 20.0), goal("Parotid_R", "<=", 26.0, 20.0))
    one = values(goal("Parotid_L", "<=", 26.0, 20.0))
    assert both == one


def test_a_class_that_the_patient_lacks_is_not_over_and_neither_spared_nor_not() -> None:
    found = values(goal("PTV", ">=", 50.0, 50.0))
    assert all(found[f"{name}.over"] == 0.0 for name in CLASSES)
    assert all(found[f"{name}.spared"] is None for name in CLASSES)


def test_a_lower_goal_on_an_organ_and_a_limit_of_zero_have_a_value() -> None:
    found = values(goal("Lungs", ">=", 1000.0, 800.0), goal("Heart", "<=", 0.0, 0.1))
    assert found["lung.over"] == pytest.approx(0.2 / 0.2)
    assert found["heart.over"] == 0.0


def test_one_absurd_number_is_held_within_the_stated_range() -> None:
    found = values(goal("SpinalCord", "<=", 45.0, 4500.0))
    assert found["nerve.over"] == BY_NAME["nerve.over"].most


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(EvaluationError, match="not a finite number"):
        values(goal("SpinalCord", "<=", 45.0, math.nan))


@given(st.floats(0.0, 120.0), st.floats(0.0, 60.0), st.floats(1.0, 80.0))
def test_more_dose_to_an_organ_is_never_better(value: float, more: float, limit: float) -> None:
    less, higher = (values(goal("Larynx", "<=", limit, dose)) for dose in (value, value + more))
    assert higher["swallow.over"] >= less["swallow.over"]  # type: ignore[operator]
    assert higher["swallow.spared"] <= less["swallow.spared"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("structure", "name"),
    [
        ("PTV_7000", "target"),
        ("CTV", "target"),
        ("SpinalCord_PRV05", "nerve"),
        ("Brainstem", "nerve"),
        ("Brain", "sense"),
        ("Glnd_Submand_L", "gland"),
        ("Glnd_Lacrimal_R", "sense"),
        ("Rectum", "bowel"),
        ("Femur_Head_L", "bone"),
        ("Lungs", "lung"),
        ("Core", "other"),
        ("Esophagus+Larynx", "swallow"),
    ],
)
def test_organs_fall_into_their_classes(structure: str, name: str) -> None:
    assert class_of(structure) == name
