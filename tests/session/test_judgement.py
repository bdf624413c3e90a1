"""Delivery and image judged with what planning and the table of names know."""

from __future__ import annotations

import pytest

from appliance.config import AnatomyConfig, EvaluationConfig, PlanningConfig
from appliance.contracts import Evaluation, Outcome, PlanFacts
from appliance.errors import ConfigError, ModelError
from appliance.evaluation import goal_set_for_site
from appliance.planning import check_plan
from appliance.session_judgement import deliverability_of, image_context_of, network_of, segmenter_of
from tests.planning.cases import legal_plan


def test_delivery_is_judged_for_the_configured_machine_and_the_highest_prescription():
    plan, goals = legal_plan(), goal_set_for_site("c-shape")
    made = deliverability_of(PlanningConfig(), None, plan, goals)
    facts = check_plan(plan)
    assert made.machine == "millennium120" and made.time_s == pytest.approx(facts.delivery_time_s)
    assert (made.plan.mcs, made.plan.leaf_travel_mm) == pytest.approx((facts.mcs, facts.leaf_travel_mm))
    highest_gy = max(dose_gy for _, dose_gy in goals.prescription)
    assert made.plan.mu_per_gy == pytest.approx(plan.mu * plan.fractions / highest_gy)


def test_an_evaluation_carries_both_and_reads_back():
    made = deliverability_of(PlanningConfig(), None, legal_plan(), goal_set_for_site("c-shape"))
    seen = image_context_of(EvaluationConfig(), None)
    assert all(one.outcome is Outcome.NOT_TESTED for one in seen.findings)
    facts = PlanFacts(mu=1.0, beams=1, control_points=2, segments=1, deliverable=True)
    judged = Evaluation((), (), (), facts, 0.0, "p", "d", "g", "h", deliverability=made, image_context=seen)
    assert Evaluation.from_json(judged.to_json()) == judged


def test_a_network_that_is_not_there_is_refused_and_stops_no_plan(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        network_of(tmp_path / "none.toml")
    seen = image_context_of(EvaluationConfig(segmentation=tmp_path / "none.toml"), None)
    assert seen.network == "none"
    assert all(one.outcome is Outcome.NOT_TESTED and "cannot be read" in one.evidence for one in seen.findings)


def test_organs_to_be_drawn_by_no_network_are_refused_at_the_start():
    with pytest.raises(ConfigError, match="segmentation names no network"):
        segmenter_of(AnatomyConfig(segmented=("Parotid_L",)))
    assert segmenter_of(AnatomyConfig()) is None
