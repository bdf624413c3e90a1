"""What must fit before a plan is made: the machine, the technique and the beam model."""

from __future__ import annotations

from appliance.config import PlanningConfig
from appliance.errors import ModelError, PlanningError
from appliance.planning.beam_models import BEAM_MODELS, load_calibrated
from appliance.planning.final_dose import ENERGY_TOLERANCE_MV, SAD_TOLERANCE_MM
from appliance.planning.machine import Machine, load_machine
from engines.photon.beam_model import BeamModel


def check_configured(planning: PlanningConfig) -> None:
    """`check_plannable` for what a configuration names. Raises ModelError as well, for files that cannot be used."""
    check_plannable(load_machine(planning.machine), planning.technique, load_calibrated(planning.beam_model)[0])


def check_plannable(machine: Machine, technique: str, model: BeamModel) -> None:
    """Raises PlanningError for a technique that the machine does not deliver, and for a beam model of another beam
    quality or source-axis distance, naming those that are shipped for it."""
    if technique not in machine.techniques:
        able = " and ".join(_words(name) for name in machine.techniques)
        raise PlanningError(
            f"{machine.title} does not deliver {_words(technique)}; it delivers {able} (planning.technique)"
        )
    if not fits(machine, model):
        raise PlanningError(
            f"{machine.title} delivers {machine.energy_mv:g} MV {machine.fluence_mode} from {machine.sad_mm:g} mm, but "
            f"beam model '{model.name}' is {model.energy_mv:g} MV {model.fluence_mode} from {model.sad_mm:g} mm; "
            f"{_remedy(machine)}"
        )


def fits(machine: Machine, model: BeamModel) -> bool:
    """Whether a beam model is of the machine's beam quality and source-axis distance."""
    return (
        abs(machine.energy_mv - model.energy_mv) <= ENERGY_TOLERANCE_MV
        and machine.fluence_mode == model.fluence_mode
        and abs(machine.sad_mm - model.sad_mm) <= SAD_TOLERANCE_MM
    )


def _remedy(machine: Machine) -> str:
    shipped = []
    for path in sorted(BEAM_MODELS.glob("*.json")):
        try:
            if fits(machine, load_calibrated(path.stem)[0]):
                shipped.append(path.stem)
        except ModelError:
            continue  # unusable, so no remedy
    if shipped:
        return f"set planning.beam_model to {' or '.join(shipped)}"
    return "none is shipped for it: commission the beam of your own machine (couchside commission)"


def _words(technique: str) -> str:
    return "VMAT" if technique == "vmat" else technique.replace("_", " ")
