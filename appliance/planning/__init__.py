"""The embedded TPS: clinical goals to objectives, fluence, apertures, machine limits, dose of the deliverable plan."""

from appliance.planning.density import load_density, overrides_of
from appliance.planning.final_dose import calculate_dose
from appliance.planning.limits import check_plan
from appliance.planning.machine import Machine, load_machine, machine_names
from appliance.planning.tps import PhotonTps

__all__ = [
    "Machine",
    "PhotonTps",
    "calculate_dose",
    "check_plan",
    "load_density",
    "load_machine",
    "machine_names",
    "overrides_of",
]
