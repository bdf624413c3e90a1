"""Case and goals to the dose that a good plan would reach, with how sure that is; or why no dose is predicted."""

from appliance.prediction.facts import Treatment
from appliance.prediction.opened import MODEL
from appliance.prediction.predict import Predictor

__all__ = ["MODEL", "Predictor", "Treatment"]
