"""The embedded TPS: clinical goals to objectives, fluence, apertures, machine limits, dose of the deliverable plan."""

from appliance.planning.compute import device_errors, select_device
from appliance.planning.final_dose import calculate_dose
from appliance.planning.limits import check_plan
from appliance.planning.machine import load_machine
from appliance.planning.tps import PhotonTps

__all__ = ["PhotonTps", "calculate_dose", "check_plan", "device_errors", "load_machine", "select_device"]
