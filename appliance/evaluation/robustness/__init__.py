"""The goals under uncertainty of set-up, motion, dose and contours."""

from appliance.evaluation.robustness.assess import assess_robustness

__all__ = ["assess_robustness"]
