"""Judges a calculated dose: goal sets, dose-volume metrics, indices, scorecard."""

from appliance.evaluation.evaluate import evaluate
from appliance.evaluation.goal_choice import choose_goal_set, goal_set_for_site, goal_sets_for_site
from appliance.evaluation.goal_evaluator import GoalEvaluator, GoalJudgement
from appliance.evaluation.goal_files import load_goal_set
from appliance.evaluation.goal_reduction import goals_for_case
from appliance.evaluation.guidelines.shipped import list_goal_sets
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.evaluation.predicted import judge_predicted
from appliance.evaluation.scorecard import scorecard

__all__ = [
    "GoalEvaluator",
    "GoalJudgement",
    "choose_goal_set",
    "evaluate",
    "goal_set_for_site",
    "goal_sets_for_site",
    "goals_for_case",
    "judge_predicted",
    "list_goal_sets",
    "load_goal_set",
    "plan_scorer",
    "scorecard",
]
