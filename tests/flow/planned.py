"""Plans of every technique for the small cylinder patient, written as real DICOM files by our writer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from appliance.case import assemble
from appliance.contracts import Beam, ControlPoint, Jaws, Plan, PrescribedTarget
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.inbound import read_folder
from appliance.planning import load_machine

MACHINE = load_machine("millennium120")
BORDERS_MM = tuple(float(b) for b in MACHINE.mlc.boundaries_mm)
PAIRS = len(BORDERS_MM) - 1
JAWS = Jaws(-25.0, 25.0, -20.0, 20.0)
TECHNIQUES = ("static", "step and shoot", "sliding window", "vmat")


def point(mu: float, a_mm: float, b_mm: float, gantry_deg: float = 0.0, **angles: float) -> ControlPoint:
    """A rectangle between two leaf ends; leaves beyond the jaws stand with it."""
    turned = {"collimator_deg": 0.0, "couch_deg": 0.0} | angles
    return ControlPoint(mu, gantry_deg, jaws=JAWS, leaf_a_mm=(a_mm,) * PAIRS, leaf_b_mm=(b_mm,) * PAIRS, **turned)


def beam(*points: ControlPoint, number: int = 1, isocentre_mm: tuple[float, float, float] = (0.0, -10.0, 0.0)) -> Beam:
    return Beam(
        number=number,
        name=f"B{number}",
        machine=MACHINE.treatment_machine,
        energy_mv=MACHINE.energy_mv,
        fluence_mode=MACHINE.fluence_mode,
        isocentre_mm=isocentre_mm,
        sad_mm=MACHINE.sad_mm,
        dose_rate_mu_min=MACHINE.dose_rate.maximum_mu_min,
        leaf_boundaries_mm=BORDERS_MM,
        control_points=points,
    )


def arc(start_deg: float, stop_deg: float, *, step_deg: float = 6.0, mu: float = 120.0, **angles: float) -> Beam:
    """An arc whose window slides to and fro: no direction is like another."""
    count = round(abs(stop_deg - start_deg) / step_deg) + 1
    points = []
    for share in np.linspace(0.0, 1.0, count):
        middle_mm = 6.0 * np.sin(4.0 * share)
        gantry_deg = (start_deg + share * (stop_deg - start_deg)) % 360.0
        points.append(point(round(mu * float(share), 4), middle_mm - 12.0, middle_mm + 9.0, gantry_deg, **angles))
    return beam(*points)


def plan_of(technique: str, position: str = "HFS") -> Plan:
    match technique:
        case "static":
            beams = (beam(point(0, -20, 20), point(100, -20, 20)),)
        case "step and shoot":
            points = (point(0, -20, 5), point(60, -20, 5), point(60, -4, 18), point(110, -4, 18))
            beams = (beam(*points), beam(*(replace(p, gantry_deg=90.0) for p in points), number=2))
        case "sliding window":
            points = (point(0, -20, -8), point(40, -12, 8), point(90, 4, 18))
            beams = (beam(*points), beam(*(replace(p, gantry_deg=250.0) for p in points), number=2))
        case _:
            beams = (arc(20.0, 140.0, collimator_deg=20.0, couch_deg=5.0),)
    return Plan("P", beams, 5, position, technique.upper().replace(" ", "_"))


def write_plan(plan: Plan, study: Path, path: Path, *, prescribed_gy: float = 5.0) -> Path:
    """RTPLAN on the study's structure set, prescribing to its PTV."""
    case = assemble([item for item in read_folder(study) if item.modality in ("CT", "RTSTRUCT")])
    dataset = plan_dataset(
        plan,
        identity=case.identity,
        structure_set=case.structure_set,
        predecessor=None,
        prescription=(PrescribedTarget("PTV", prescribed_gy),),
        frame_of_reference_uid=case.frame_of_reference_uid,
    )
    save_durable(dataset, path)
    return path
