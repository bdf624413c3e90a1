"""Outcome models of a plan, for ranking only: complication and control probabilities with bands (docs/evaluation)."""

from appliance.evaluation.outcomes.assess import assess_outcomes
from appliance.evaluation.outcomes.parameters import (
    OutcomeParameters,
    load_parameters,
    read_parameters,
    shipped_parameters,
)

__all__ = ["OutcomeParameters", "assess_outcomes", "load_parameters", "read_parameters", "shipped_parameters"]
