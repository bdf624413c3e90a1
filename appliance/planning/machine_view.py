"""What a machine file and a plan's times tell to the evaluation, which knows no machine files."""

from __future__ import annotations

import numpy as np

from appliance.contracts import Beam, Plan
from appliance.contracts.machine_view import MachineSolids, MachineView
from appliance.planning.delivery import time_of, travel_s
from appliance.planning.limits import is_whole
from appliance.planning.machine import Machine, load_machine


def machine_view(plan: Plan, machine: str = "millennium120") -> MachineView:
    """Solids of the machine, and seconds of the plan's intervals. Raises ModelError for a machine file that is not
    usable."""
    limits = load_machine(machine)
    seconds = tuple(_seconds(beam, limits) for beam in plan.beams)
    between_s = travel_s(plan, limits) if all(seconds) else 0.0
    return MachineView(
        name=limits.name,
        title=limits.title,
        solids=_solids(limits),
        interval_s=seconds,
        travel_s=between_s if np.isfinite(between_s) else 0.0,
    )


def _seconds(beam: Beam, machine: Machine) -> tuple[float, ...]:
    if not is_whole(beam, machine):
        return ()
    seconds = time_of(beam, machine).seconds
    return tuple(seconds.tolist()) if np.isfinite(seconds).all() else ()


def _solids(machine: Machine) -> MachineSolids | None:
    known = machine.clearance
    if known is None:
        return None
    return MachineSolids(
        shape=known.shape,
        radius_mm=known.radius_mm,
        face_mm=known.face_mm or 0.0,
        couch_width_mm=known.couch_width_mm,
        couch_thickness_mm=known.couch_thickness_mm,
        patient_margin_mm=known.patient_margin_mm,
        couch_margin_mm=known.couch_margin_mm,
        unconfirmed=tuple(figure for figure in machine.unconfirmed if figure.startswith("clearance.")),
    )
