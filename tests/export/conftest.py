"""A hand-made case on real CT files, a two-beam plan, a dose, and an approval of exactly these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.contracts import (
    Approval,
    Beam,
    CalculatedDose,
    Case,
    Contour,
    ControlPoint,
    Identity,
    Image,
    Jaws,
    Plan,
    PrescribedTarget,
    Shown,
    Structure,
    StructureKind,
)
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.values import new_uid
from engines.grid import Grid, VoxelSet

GRID = Grid(origin_mm=(-50.0, -40.0, -20.0), spacing_mm=(4.0, 4.0, 5.0), shape=(9, 20, 25))
EMPTY = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))
BOUNDARIES = (-20.0, -10.0, 0.0, 10.0, 20.0)


@dataclass(frozen=True)
class Approved:
    case: Case
    plan: Plan
    dose: CalculatedDose
    approval: Approval


def square(half_mm: float, *z_mm: float) -> tuple[Contour, ...]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64) * half_mm
    return tuple(Contour(z, corners) for z in z_mm)


def point(mu: float, gantry_deg: float, open_mm: float) -> ControlPoint:
    return ControlPoint(
        cumulative_mu=mu,
        gantry_deg=gantry_deg,
        collimator_deg=5.0,
        couch_deg=0.0,
        jaws=Jaws(-30.0, 31.0, -20.0, 21.0),
        leaf_a_mm=(-open_mm, -open_mm - 0.123, -open_mm, 0.0),
        leaf_b_mm=(open_mm, open_mm, open_mm + 4.567, 0.0),
    )


def beam(number: int, gantry_deg: float) -> Beam:
    steps = ((0.0, 10.0), (40.0, 10.0), (40.0, 14.0), (100.125, 14.0))
    return Beam(
        number=number,
        name=f"Field {number}",
        machine="millennium120",
        energy_mv=6.0,
        fluence_mode="STANDARD" if number == 1 else "FFF",
        isocentre_mm=(1.5, -2.25, 3.0),
        sad_mm=1000.0,
        dose_rate_mu_min=600.0,
        leaf_boundaries_mm=BOUNDARIES,
        control_points=tuple(point(mu, gantry_deg, open_mm) for mu, open_mm in steps),
    )


def beam_doses() -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    inside = (x > 4) & (x < 20) & (y > 3) & (y < 16) & (z > 1) & (z < 7)
    return tuple((inside * (20.0 + slope * x + 0.3 * y)).astype(np.float32) for slope in (0.5, 0.25))


def approve(case: Case, plan: Plan, dose: CalculatedDose) -> Approval:
    shown = Shown("session", case.digest, plan.digest, dose.digest, "evaluation")
    return Approval(shown, "Dr Example", "physician", "00", "00", "2026-01-02T10:00:00+00:00", is_demo=True)


@pytest.fixture(scope="session")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Approved:
    identity = Identity("TEST-7", "Exämple^Test", "19610203", "F", new_uid(), "17", "20260102", "090000")
    frame_uid = new_uid()
    image = Image(GRID, np.zeros(GRID.shape, np.int16))
    images = write_ct_series(
        image,
        identity=identity,
        frame_of_reference_uid=frame_uid,
        patient_position="HFS",
        folder=tmp_path_factory.mktemp("ct"),
    )
    z_mm = GRID.axes_mm()[2].tolist()
    structures = (
        Structure(1, "BODY", "External", StructureKind.EXTERNAL, square(35.0, *z_mm), EMPTY, (0, 255, 0)),
        Structure(2, "PTV", "PTV", StructureKind.TARGET, square(10.123, *z_mm[2:6]), EMPTY, (255, 0, 0)),
        Structure(5, "Core", "Core", StructureKind.ORGAN, square(4.0, *z_mm[1:4]), EMPTY, (0, 0, 255)),
    )
    received = replace(images[0], sop_class_uid="1.2.840.10008.5.1.4.1.1.481.3", sop_instance_uid=new_uid())
    before = replace(images[0], sop_class_uid="1.2.840.10008.5.1.4.1.1.481.5", sop_instance_uid=new_uid())
    case = Case(
        digest="case-digest",
        identity=identity,
        frame_of_reference_uid=frame_uid,
        patient_position="HFS",
        image=image,
        structures=structures,
        prescription=(PrescribedTarget("PTV", 50.0),),
        fractions=25,
        images=images,
        structure_set=received,
        reference_plan_object=before,
    )
    plan = Plan("Adapted", (beam(1, 0.0), beam(2, 200.0)), 25, "HFS")
    doses = beam_doses()
    dose = CalculatedDose(GRID, doses[0] + doses[1], plan.digest, "test", "generic_6mv", doses)
    return Approved(case, plan, dose, approve(case, plan, dose))


def read_plan(path: Path) -> Plan:
    """A reader of its own, from PS3.3 C.8.8.14: only what this plan needs, and none of the writer's code."""
    dataset = pydicom.dcmread(path)
    metersets = {
        int(item.ReferencedBeamNumber): float(item.BeamMeterset)
        for item in dataset.FractionGroupSequence[0].ReferencedBeamSequence
    }
    return Plan(
        label=str(dataset.RTPlanLabel),
        beams=tuple(_read_beam(item, metersets[int(item.BeamNumber)]) for item in dataset.BeamSequence),
        fractions=int(dataset.FractionGroupSequence[0].NumberOfFractionsPlanned),
        patient_position=str(dataset.PatientSetupSequence[0].PatientPosition),
    )


def _read_beam(item: Dataset, meterset: float) -> Beam:
    mode = item.PrimaryFluenceModeSequence[0]
    first = item.ControlPointSequence[0]
    boundaries = item.BeamLimitingDeviceSequence[2].LeafPositionBoundaries
    return Beam(
        number=int(item.BeamNumber),
        name=str(item.BeamName),
        machine=str(item.TreatmentMachineName),
        energy_mv=float(first.NominalBeamEnergy),
        fluence_mode=str(mode.get("FluenceModeID", "STANDARD")),
        isocentre_mm=tuple(float(v) for v in first.IsocenterPosition),
        sad_mm=float(item.SourceAxisDistance),
        dose_rate_mu_min=float(first.DoseRateSet),
        leaf_boundaries_mm=tuple(float(v) for v in boundaries),
        control_points=tuple(_read_points(item, meterset)),
    )


def _read_points(item: Dataset, meterset: float) -> list[ControlPoint]:
    devices: dict[str, list[float]] = {}
    angles: dict[str, float] = {}
    found = []
    for point_item in item.ControlPointSequence:
        for device in point_item.get("BeamLimitingDevicePositionSequence", []):
            devices[device.RTBeamLimitingDeviceType] = [float(v) for v in device.LeafJawPositions]
        for keyword in ("GantryAngle", "BeamLimitingDeviceAngle", "PatientSupportAngle"):
            if keyword in point_item:
                angles[keyword] = float(point_item[keyword].value)
        pairs = len(devices["MLCX"]) // 2
        weight = float(point_item.CumulativeMetersetWeight) / float(item.FinalCumulativeMetersetWeight)
        found.append(
            ControlPoint(
                weight * meterset,
                *angles.values(),
                Jaws(*devices["ASYMX"], *devices["ASYMY"]),
                tuple(devices["MLCX"][:pairs]),
                tuple(devices["MLCX"][pairs:]),
            )
        )
    return found


def read_dose(path: Path) -> tuple[Grid, np.ndarray]:
    dataset = pydicom.dcmread(path)
    row_mm, column_mm = (float(v) for v in dataset.PixelSpacing)
    offsets = [float(v) for v in dataset.GridFrameOffsetVector]
    grid = Grid(
        tuple(float(v) for v in dataset.ImagePositionPatient),
        (column_mm, row_mm, offsets[1] - offsets[0]),
        (int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns)),
    )
    return grid, dataset.pixel_array * float(dataset.DoseGridScaling)
