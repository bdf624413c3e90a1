"""The judgement of a dose, by hand on 1 cc voxels, on crops and other grids, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import (
    Comparison,
    Evaluation,
    Opponent,
    Plan,
    PlanFacts,
    PredictedDose,
    PredictedJudgement,
    TradeOff,
)
from appliance.errors import EvaluationError, RefusedGoals
from appliance.evaluation import evaluate, goal_set_for_site, scorecard
from engines.grid import Grid

GRID = Grid((-45.0, -45.0, -45.0), (10.0, 10.0, 10.0), (10, 10, 10))


def wedge() -> np.ndarray:
    """10 Gy at the first plane of x, 10 more at each next."""
    return np.broadcast_to(np.arange(10, 110, 10, dtype=np.float32), GRID.shape)


def test_goals_by_hand(make_case, make_dose, facts) -> None:
    """The target holds four voxels of 50 and four of 60 Gy: D95 = 50; D10 = 60. The organ two each: D10 = 60."""
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(wedge()), facts)
    assert [(goal.structure, goal.metric, goal.value, goal.met) for goal in evaluation.goals] == [
        ("PTV", "D95%", pytest.approx(50), True),
        ("PTV", "D10%", pytest.approx(60), False),
        ("Core", "D10%", pytest.approx(60), False),
    ]
    assert all(goal.approximate and "Med Phys 36:5359" in goal.source for goal in evaluation.goals)
    assert evaluation.goals_met == 1


def test_a_goal_just_missed_is_not_rounded_into_met(make_case, make_dose, facts) -> None:
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(49.9999), facts)
    assert not evaluation.goals[0].met
    assert evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(50.0), facts).goals[0].met


def test_indices_by_hand(make_case, make_dose, facts) -> None:
    """50 Gy in the 8 cc of the target and in 8 cc beside it: TV 8, TV_PIV 8, PIV 16, so 64 / 128. Outside the
    External nothing counts. D2 = D98 = D50, so homogeneity is 0."""
    dose_gy = np.full(GRID.shape, 10, np.float32)
    dose_gy[4:6, 4:6, 2:6] = 50
    dose_gy[0] = 50
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(dose_gy), facts)
    (target,) = evaluation.targets
    assert target.paddick_conformity == pytest.approx(0.5)
    assert target.homogeneity == 0


def test_homogeneity_by_hand(make_case, make_dose, facts) -> None:
    """Four voxels of 50, four of 60: D2 = 60, D98 = 50, D50 = 55 between the two middles."""
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(wedge()), facts)
    assert evaluation.targets[0].homogeneity == pytest.approx((60 - 50) / 55)


def test_conformity_of_a_lower_level_counts_the_higher_target(make_case, make_dose, facts) -> None:
    """Exactly both targets at their dose: conformity 1 for both levels, although the 63 Gy isodose holds both."""
    dose_gy = np.zeros(GRID.shape, np.float32)
    dose_gy[4:6, 4:6, 4:6] = 70
    dose_gy[6:7, 4:6, 4:6] = 63
    case = make_case("PTV_7000", "PTV_6300", "SpinalCord")
    evaluation = evaluate(case, goal_set_for_site("openkbp"), make_dose(dose_gy), facts)
    assert [target.paddick_conformity for target in evaluation.targets] == pytest.approx([1, 1])


def test_a_union_is_judged_as_one(make_case, make_dose, facts) -> None:
    """12 cc of both levels, the 63 Gy level at 10 Gy: D99 of the union falls to 10."""
    dose_gy = np.full(GRID.shape, 70, np.float32)
    dose_gy[6:7] = 10
    case = make_case("PTV_7000", "PTV_6300", "SpinalCord")
    values = {
        goal.structure: goal.value
        for goal in evaluate(case, goal_set_for_site("openkbp"), make_dose(dose_gy), facts).goals
    }
    assert values["PTV_7000"] == pytest.approx(70)
    assert values["PTV_6300+PTV_7000"] == pytest.approx(10)


def test_hottest_is_inside_the_external_only(make_case, make_dose, facts) -> None:
    dose_gy = np.full(GRID.shape, 50, np.float32)
    dose_gy[0, 0, 0] = 90
    dose_gy[1, 1, 1] = 60
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(dose_gy), facts)
    assert evaluation.hottest_01cc_gy == 60


def test_dvh_curves(make_case, make_dose, facts) -> None:
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(wedge()), facts)
    curves = {curve.structure: curve for curve in evaluation.dvh}
    target = curves["PTV"]
    at = dict(zip(target.dose_gy, target.volume_percent, strict=True))
    assert (target.volume_cc, target.mean_gy, target.min_gy, target.max_gy) == pytest.approx((8, 55, 50, 60))
    assert (at[0.0], at[50.0], at[50.1], at[60.0], at[60.1]) == (100, 100, 50, 50, 0)
    assert set(curves) == {"External", "PTV", "Core"}


def test_a_crop_of_the_image_grid_is_taken_as_it_is(make_case, make_dose, facts) -> None:
    """The crop holds target and organ but cuts the body: same goals, and a note instead of the body's curve."""
    case, goals = make_case("PTV", "Core"), goal_set_for_site("c-shape")
    crop = GRID.cropped((3, 2, 3), (8, 9, 7))
    whole = evaluate(case, goals, make_dose(wedge()), facts)
    cut = evaluate(case, goals, make_dose(wedge()[3:8, 2:9, 3:7], crop), facts)
    assert [goal.value for goal in cut.goals] == [goal.value for goal in whole.goals]
    assert any("does not reach all of the External" in note for note in cut.notes)
    assert "External" not in {curve.structure for curve in cut.dvh}
    assert cut.hottest_01cc_gy == 70


def test_another_grid_is_resampled_and_that_is_said(make_case, make_dose, facts) -> None:
    """Trilinear interpolation is exact on a linear wedge, whatever the grid."""
    fine = Grid((-47.0, -47.0, -47.0), (4.0, 4.0, 4.0), (24, 24, 24))
    x_mm = fine.axes_mm()[0]
    dose_gy = np.broadcast_to((x_mm + 55).astype(np.float32), fine.shape)
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(dose_gy, fine), facts)
    assert [goal.value for goal in evaluation.goals] == pytest.approx([50, 60, 60], abs=1e-3)
    assert any("resampled trilinearly from its own grid (4 × 4 × 4 mm)" in note for note in evaluation.notes)


def test_a_grid_that_misses_an_organ_leaves_a_finding_and_the_other_goals(make_case, make_dose, facts) -> None:
    crop = GRID.cropped((3, 2, 3), (8, 7, 7))
    evaluation = evaluate(
        make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(wedge()[3:8, 2:7, 3:7], crop), facts
    )
    assert [goal.structure for goal in evaluation.goals] == ["PTV", "PTV"]
    (finding,) = evaluation.findings
    assert (finding.id, finding.warns) == ("goals.dose-not-covering", True)
    assert "the dose grid does not cover Core (50.0 % of it lies outside)" in finding.evidence


def test_a_grid_that_misses_a_target_is_refused_by_name(make_case, make_dose, facts) -> None:
    crop = GRID.cropped((5, 2, 3), (8, 9, 7))
    with pytest.raises(EvaluationError, match=r"does not cover PTV \(50.0 % of it lies outside\)"):
        evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(wedge()[5:8, 2:9, 3:7], crop), facts)


def test_an_organ_without_a_goal_is_only_left_out(make_case, make_dose, facts) -> None:
    case = make_case("PTV", "Core", "Heart")
    heart = replace(case.structure("Heart"), voxels=case.external.voxels)
    case = replace(case, structures=(*case.structures[:-1], heart))
    crop = GRID.cropped((3, 2, 3), (8, 9, 7))
    evaluation = evaluate(case, goal_set_for_site("c-shape"), make_dose(wedge()[3:8, 2:9, 3:7], crop), facts)
    assert "Heart reaches out of the dose grid; its dose-volume histogram is left out" in evaluation.notes


def test_a_predicted_dose_is_refused(make_case, facts) -> None:
    zero = np.zeros(GRID.shape, np.float32)
    predicted = PredictedDose(GRID, zero + 50, zero, zero, "network")
    with pytest.raises(EvaluationError, match="predicted dose guides planning but is never judged"):
        evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), predicted, facts)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.nan, "not numbers"), (np.inf, "not numbers"), (-1.0, "negative"), (7000.0, "check its unit")],
)
def test_a_dose_that_cannot_be_is_refused(make_case, make_dose, facts, value: float, reason: str) -> None:
    dose_gy = np.full(GRID.shape, 50, np.float32)
    dose_gy[9, 9, 9] = value
    with pytest.raises(EvaluationError, match=reason):
        evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(dose_gy), facts)


def test_a_dose_of_another_plan_is_refused(make_case, make_dose, facts) -> None:
    case, goals = make_case("PTV", "Core"), goal_set_for_site("c-shape")
    plan = Plan("adapted", (), 25, "HFS")
    with pytest.raises(EvaluationError, match="calculated for another plan"):
        evaluate(case, goals, make_dose(50), facts, plan=plan)
    own = replace(make_dose(50), plan_digest=plan.digest)
    with pytest.raises(EvaluationError, match="machine check is of another plan"):
        evaluate(case, goals, own, facts, plan=plan)
    matching = PlanFacts(mu=0, beams=0, control_points=0, segments=0, deliverable=True)
    assert evaluate(case, goals, own, matching, plan=plan).plan_digest == plan.digest
    with pytest.raises(EvaluationError, match="which plan"):
        evaluate(case, goals, replace(own, plan_digest=""), facts)


def test_a_target_without_dose_is_refused(make_case, make_dose, facts) -> None:
    with pytest.raises(EvaluationError, match="half of PTV receives no dose"):
        evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(0), facts)


def test_goals_that_do_not_fit_are_refused(make_case, make_dose, facts) -> None:
    with pytest.raises(RefusedGoals):
        evaluate(make_case("Core"), goal_set_for_site("c-shape"), make_dose(), facts)


def test_goals_left_out_are_noted(make_case, make_dose, facts) -> None:
    case = make_case("PTV", "Rectum")
    evaluation = evaluate(case, goal_set_for_site("prostate"), make_dose(), facts)
    assert {goal.structure for goal in evaluation.goals} == {"PTV", "Rectum"}
    assert "Left out, because the case has no such structure: Bladder D30% <= 70 Gy" in evaluation.notes
    found = [(finding.id, finding.evidence.split(" is not judged")[0]) for finding in evaluation.findings]
    assert ("goals.structure-missing", "Bladder D30% <= 70 Gy") in found
    assert all(finding.warns for finding in evaluation.findings)
    assert len(evaluation.goals) + len(evaluation.findings) == len(goal_set_for_site("prostate").goals)


def test_scorecard_is_plain_json_and_bound_to_the_evaluation(make_case, make_dose, facts) -> None:
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(wedge()), facts)
    card = json.loads(json.dumps(scorecard(evaluation), allow_nan=False))
    assert card["schema"] == "couchside.scorecard/1"
    assert card["not_for_clinical_use"] is True
    assert card["goals"][0] | {"source": "", "value": 0} == {
        "structure": "PTV",
        "metric": "D95%",
        "comparator": ">=",
        "limit": 50.0,
        "unit": "Gy",
        "value": 0,
        "met": True,
        "priority": 1,
        "source": "",
        "approximate": True,
        "grade": "pass",
        "variation": None,
        "score": 10.0,
        "max_score": 10.0,
        "endpoint": "",
        "doi": "",
        "passage": "",
    }
    assert (card["goals_met"], card["goals_total"]) == (1, 3)
    assert (card["goals_variation"], card["goals_failed"]) == (0, 2)
    assert card["score"] == pytest.approx(sum(goal["score"] for goal in card["goals"]))
    assert card["max_score"] == sum(goal["max_score"] for goal in card["goals"])
    assert card["plan"]["mu"] == 500.0
    assert card["plan"]["deliverable"] is True
    # C-shape: 50 Gy; 500 MU in each fraction
    fractions = goal_set_for_site("c-shape").fractions
    assert card["plan"]["mu_per_gy"] == pytest.approx(500.0 * fractions / 50.0)
    assert card["digests"]["evaluation"] == evaluation.digest
    for goal in card["goals"]:
        above = goal["value"] >= goal["limit"]
        assert goal["met"] == (above if goal["comparator"] == ">=" else goal["value"] <= goal["limit"])


def test_every_key_of_the_scorecard_is_documented(make_case, make_dose, facts) -> None:
    text = (Path(__file__).parents[2] / "docs" / "interfaces.md").read_text("utf-8")
    section = text[text.index("## scorecard.json") :].split("\n## ", 2)[0]
    case = make_case("PTV", "Rectum")
    evaluation = evaluate(case, goal_set_for_site("prostate"), make_dose(wedge()), facts)
    trade_off = TradeOff("PTV", "D95%", ">=", 50.0, "Gy", (Opponent("", "hot spots", -0.5, 1.0),), True, "said")
    compared = Comparison.of(evaluation, evaluation, PredictedJudgement(evaluation.goals, "network"))
    card = scorecard(replace(evaluation, trade_offs=(trade_off,), comparison=compared))
    keys = {*card, *card["goals"][0], *card["targets"][0], *card["plan"], *card["digests"], *card["findings"][0]}
    keys |= {*card["trade_offs"][0], *card["trade_offs"][0]["against"][0], *card["comparison"]}
    keys |= {
        *card["comparison"]["goals"][0],
        *card["comparison"]["goals"][0]["adapted"],
        *card["comparison"]["adapted"],
    }
    assert {key for key in keys if f"`{key}`" not in section} == set()


def test_an_evaluation_survives_json(make_case, make_dose, facts) -> None:
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(wedge()), facts)
    assert Evaluation.from_json(evaluation.to_json()) == evaluation
    assert Evaluation.from_json(evaluation.to_json()).digest == evaluation.digest
