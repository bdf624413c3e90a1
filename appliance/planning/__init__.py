"""The embedded TPS: clinical goals to objectives, fluence, apertures, machine limits, dose of the deliverable plan."""

from appliance.planning.algorithms import Algorithm, independent_of
from appliance.planning.beam_models import load_calibrated
from appliance.planning.compute import device_errors, select_device
from appliance.planning.density import load_density, overrides_of
from appliance.planning.final_dose import calculate_dose, dose_options
from appliance.planning.geometry import planned_gantry_deg
from appliance.planning.limits import check_plan
from appliance.planning.machine import Machine, load_machine, machine_names
from appliance.planning.machine_view import machine_view
from appliance.planning.on_image import misplaced_isocentres, missing_anatomy, source_mm
from appliance.planning.plannable import check_configured
from appliance.planning.tps import PhotonTps

__all__ = [
    "Algorithm",
    "Machine",
    "PhotonTps",
    "calculate_dose",
    "check_configured",
    "check_plan",
    "device_errors",
    "dose_options",
    "independent_of",
    "load_calibrated",
    "load_density",
    "load_machine",
    "machine_names",
    "machine_view",
    "misplaced_isocentres",
    "missing_anatomy",
    "overrides_of",
    "planned_gantry_deg",
    "select_device",
    "source_mm",
]
