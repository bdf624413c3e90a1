"""Re-irradiation: an earlier course registered to today, turned into EQD2, summed and judged (docs/evaluation)."""

from appliance.evaluation.reirradiation.assess import assess_prior
from appliance.evaluation.reirradiation.placing import place
from appliance.evaluation.reirradiation.summing import cumulative_on_image
from appliance.evaluation.reirradiation.tolerances import Tolerances, read_tolerances, shipped_tolerances

__all__ = ["Tolerances", "assess_prior", "cumulative_on_image", "place", "read_tolerances", "shipped_tolerances"]
