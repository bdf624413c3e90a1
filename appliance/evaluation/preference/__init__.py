"""Would this physician approve this plan: features, what is learned from decisions, the verdict, and its upkeep."""

from appliance.evaluation.preference.features import plan_features
from appliance.evaluation.preference.fit import fit_model
from appliance.evaluation.preference.judge import judge_preference
from appliance.evaluation.preference.model import PreferenceModel, read_model
from appliance.evaluation.preference.update import learn, updated
from appliance.evaluation.preference.verdict import NO_MODEL, assess_preference
from appliance.evaluation.preference.watch import WatchReport, watch

__all__ = [
    "NO_MODEL",
    "PreferenceModel",
    "WatchReport",
    "assess_preference",
    "fit_model",
    "judge_preference",
    "learn",
    "plan_features",
    "read_model",
    "updated",
    "watch",
]
