"""The adapted plan beside the scheduled one and a prediction, which can never be taken for a plan's judgement."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from appliance.contracts import Comparison, Evaluation, Grade, PlanScore, PredictedDose, PredictedJudgement
from appliance.contracts.comparison import PREDICTED_LABEL
from appliance.errors import EvaluationError
from appliance.evaluation import evaluate, goal_set_for_site, judge_predicted

from .conftest import GRID


def predicted(dose_gy: np.ndarray | float) -> PredictedDose:
    values = np.broadcast_to(np.asarray(dose_gy, np.float32), GRID.shape).copy()
    return PredictedDose(GRID, values, np.zeros_like(values), np.zeros_like(values), "network 3")


def test_three_doses_side_by_side(make_case, make_dose, facts) -> None:
    """C-shape: D95 >= 50, D10 <= 55 and the core's D10 <= 25 Gy; uniform doses of 50, 49 and 52 Gy. The core is lost by
    all three (0 points), so coverage decides: 10 points at 50, 8 at 49 (a tenth below 50 is worth nothing)."""
    case, goals = make_case("PTV", "Core"), goal_set_for_site("c-shape")
    adapted = evaluate(case, goals, make_dose(50.0), facts)
    scheduled = evaluate(case, goals, make_dose(49.0), facts)
    wished = judge_predicted(case, goals, predicted(52.0))
    found = Comparison.of(adapted, scheduled, wished)
    coverage = found.goals[0]
    assert (coverage.structure, coverage.metric, coverage.max_score) == ("PTV", "D95%", 10.0)
    assert [s.value for s in (coverage.adapted, coverage.scheduled, coverage.predicted)] == pytest.approx([50, 49, 52])
    assert [s.grade for s in (coverage.adapted, coverage.scheduled)] == [Grade.PASS, Grade.FAIL]
    assert coverage.over_scheduled == pytest.approx(2.0)
    assert coverage.over_predicted == pytest.approx(0.0)
    assert found.over_scheduled == pytest.approx(2.0)
    assert found.adapted == PlanScore.of(adapted.goals)
    assert found.adapted.score == pytest.approx(sum(goal.score for goal in adapted.goals))
    assert (found.predicted_model, found.predicted_label) == ("network 3", PREDICTED_LABEL)


def test_a_goal_that_only_one_plan_was_judged_on_is_no_difference(make_case, make_dose, facts) -> None:
    case, goals = make_case("PTV", "Core"), goal_set_for_site("c-shape")
    adapted = evaluate(case, goals, make_dose(50.0), facts)
    scheduled = evaluate(case, goals, make_dose(49.0), facts)
    found = Comparison.of(adapted, replace(scheduled, goals=scheduled.goals[:1]))
    assert found.goals[1].scheduled is None
    assert found.goals[1].over_scheduled is None
    assert found.over_scheduled == pytest.approx(2.0)
    assert found.predicted is None


def test_an_evaluation_with_everything_survives_json(make_case, make_dose, facts) -> None:
    case, goals = make_case("PTV", "Core"), goal_set_for_site("c-shape")
    adapted = evaluate(case, goals, make_dose(50.0), facts)
    wished = judge_predicted(case, goals, predicted(52.0))
    whole = replace(adapted, predicted=wished, comparison=Comparison.of(adapted, adapted, wished))
    assert Evaluation.from_json(whole.to_json()) == whole


def test_a_judgement_of_a_prediction_has_nothing_an_approval_is_bound_to() -> None:
    bound = {"plan_digest", "dose_digest", "goal_set_digest", "digest", "needs_acknowledgement"}
    assert not issubclass(PredictedJudgement, Evaluation)
    assert not bound & {field.name for field in fields(PredictedJudgement)}
    assert not any(hasattr(PredictedJudgement, name) for name in bound)


def test_doses_do_not_change_places(make_case, make_dose, facts) -> None:
    case, goals = make_case("PTV", "Core"), goal_set_for_site("c-shape")
    with pytest.raises(EvaluationError, match="only a predicted dose is judged here"):
        judge_predicted(case, goals, make_dose(50.0))
    with pytest.raises(EvaluationError, match="never judged for approval"):
        evaluate(case, goals, predicted(50.0), facts)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_prediction_that_cannot_be_is_refused(make_case, value: float) -> None:
    with pytest.raises(EvaluationError, match="values that cannot be"):
        judge_predicted(make_case("PTV", "Core"), goal_set_for_site("c-shape"), predicted(value))
