"""The goals on a predicted dose: what a good plan may reach. Never a judgement that anybody could approve."""

from __future__ import annotations

import numpy as np

from appliance.contracts import Case, GoalSet, PredictedDose, PredictedJudgement
from appliance.errors import EvaluationError
from appliance.evaluation.dose_on_image import array_on_image
from appliance.evaluation.goal_evaluator import GoalEvaluator
from appliance.evaluation.goal_reduction import goals_for_case


def judge_predicted(case: Case, goal_set: GoalSet, dose: PredictedDose) -> PredictedJudgement:
    """Raises EvaluationError for a calculated dose (that has `evaluate`), one that is not finite or negative, and one
    that does not cover a target."""
    if not isinstance(dose, PredictedDose):
        raise EvaluationError("only a predicted dose is judged here; evaluate the calculated dose of the plan instead")
    if not np.isfinite(dose.dose_gy).all() or dose.dose_gy.min() < 0:
        raise EvaluationError("the predicted dose holds values that cannot be; leave the prediction aside")
    dose_gy, _ = array_on_image(dose.dose_gy, dose.grid, case.image.grid)
    judged = GoalEvaluator(case, goals_for_case(goal_set, case)).judge(dose_gy)
    return PredictedJudgement(judged.results, dose.model)
