"""An RTPLAN as a photon `Plan`: static fields, step-and-shoot, sliding window and arcs, control points as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import RTPlanStorage

from appliance.case.attributes import identity_of, items, number, numbers, refused, source_of, text
from appliance.case.control_points import read_control_points, read_devices
from appliance.case.image import PATIENT_POSITIONS
from appliance.contracts import Beam, ControlPoint, Identity, Plan, SourceObject
from appliance.dicomio.read import read_dataset
from appliance.errors import UnsupportedPlan

WHAT = "RTPLAN"

NOT_COMPUTED = (
    ("NumberOfWedges", "WedgeSequence", "a wedge"),
    ("NumberOfBlocks", "BlockSequence", "a block"),
    ("NumberOfCompensators", "CompensatorSequence", "a compensator"),
    ("NumberOfBoli", "ReferencedBolusSequence", "a bolus"),
    ("", "ApplicatorSequence", "an applicator"),
    ("", "GeneralAccessorySequence", "an accessory in the beam"),
)
"""(number, sequence, what): beam modifiers that change dose and are not modelled."""


@dataclass(frozen=True)
class DoseReference:
    """One dose that a plan states of a structure, as written: dose_gy of the course, the ROI it points to, its
    description."""

    dose_gy: float
    roi_number: int | None
    description: str


@dataclass(frozen=True, eq=False)
class PlanReading:
    """prescription: of targets; limits: highest doses of organs. structure_sets: SOP Instance UIDs of the structure
    sets the plan was made on."""

    plan: Plan
    prescription: tuple[DoseReference, ...]
    limits: tuple[DoseReference, ...]
    structure_sets: tuple[str, ...]
    frame_of_reference_uid: str
    identity: Identity
    source: SourceObject
    notes: tuple[str, ...]


def read_plan(path: Path) -> Plan:
    """The treatment beams of a photon RTPLAN; setup beams are left out.

    dose_rate_mu_min is 0 and nothing depends on it where the plan states none. Raises UnsupportedPlan naming the beam
    and what cannot be computed; RefusedObject `plan.class`, `attribute.*` and the rules of reading a file."""
    return read_plan_file(path).plan


def read_plan_file(path: Path) -> PlanReading:
    """As `read_plan`, with what else a case needs of the file."""
    dataset = read_dataset(path, what=WHAT)
    if text(dataset, "SOPClassUID") != str(RTPlanStorage):
        raise refused(WHAT, "it is no RT Plan of photons", "plan.class", "Send the photon RT Plan of the case")
    notes: list[str] = []
    fractions, metersets = _fraction_group(dataset)
    treated = [beam for beam in items(dataset, "BeamSequence") if _is_treated(beam, notes)]
    if not treated:
        raise UnsupportedPlan("it has no treatment beam")
    beams = tuple(_beam(beam, metersets) for beam in treated)
    if len({beam.number for beam in beams}) != len(beams):
        raise UnsupportedPlan("two of its beams have the same number")
    plan = Plan(
        label=text(dataset, "RTPlanLabel"),
        beams=beams,
        fractions=fractions,
        patient_position=_patient_position(dataset, treated),
        technique=_technique(beams),
    )
    return PlanReading(
        plan=plan,
        prescription=_stated(dataset, "TARGET", "TargetPrescriptionDose"),
        limits=_stated(dataset, "ORGAN_AT_RISK", "OrganAtRiskMaximumDose"),
        structure_sets=tuple(
            text(item, "ReferencedSOPInstanceUID") for item in items(dataset, "ReferencedStructureSetSequence")
        ),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
        identity=identity_of(dataset),
        source=source_of(dataset, path, WHAT),
        notes=tuple(notes),
    )


def _where(beam: Dataset) -> str:
    name = text(beam, "BeamName")
    return f"beam {text(beam, 'BeamNumber') or '?'}{f' ({name})' if name else ''}"


def _fraction_group(dataset: Dataset) -> tuple[int, dict[int, float]]:
    """(fractions, MU per fraction by beam number) of the only fraction group."""
    groups = items(dataset, "FractionGroupSequence")
    if len(groups) != 1:
        raise UnsupportedPlan(f"it has {len(groups)} fraction groups instead of one")
    group = groups[0]
    if items(group, "ReferencedBrachyApplicationSetupSequence") or items(dataset, "ApplicationSetupSequence"):
        raise UnsupportedPlan("it holds brachytherapy")
    fractions = int(number(group, "NumberOfFractionsPlanned", WHAT))
    if fractions < 1:
        raise UnsupportedPlan(f"it has {fractions} fractions")
    metersets = {
        int(number(item, "ReferencedBeamNumber", WHAT)): number(item, "BeamMeterset", WHAT)
        for item in items(group, "ReferencedBeamSequence")
        if text(item, "BeamMeterset")
    }
    return fractions, metersets


def _is_treated(beam: Dataset, notes: list[str]) -> bool:
    delivery = text(beam, "TreatmentDeliveryType") or "TREATMENT"
    if delivery == "CONTINUATION":
        raise UnsupportedPlan(f"{_where(beam)}: it continues an interrupted treatment")
    if delivery != "TREATMENT":
        notes.append(f"RTPLAN, {_where(beam)} was left out: it does not treat ({delivery})")
    return delivery == "TREATMENT"


def _beam(beam: Dataset, metersets: Mapping[int, float]) -> Beam:
    where = _where(beam)
    _check_computable(beam, where)
    beam_number = int(number(beam, "BeamNumber", where))
    mu = metersets.get(beam_number, 0.0)
    if mu <= 0:
        raise UnsupportedPlan(f"{where}: it has no monitor units")
    devices = read_devices(beam, where)
    points = read_control_points(beam, devices, mu, where)
    first = items(beam, "ControlPointSequence")[0]
    x, y, z = numbers(first, "IsocenterPosition", 3, where)
    return Beam(
        number=beam_number,
        name=text(beam, "BeamName"),
        machine=text(beam, "TreatmentMachineName"),
        energy_mv=number(first, "NominalBeamEnergy", where),
        fluence_mode=_fluence_mode(beam, where),
        isocentre_mm=(x, y, z),
        sad_mm=number(beam, "SourceAxisDistance", where),
        dose_rate_mu_min=number(first, "DoseRateSet", where) if text(first, "DoseRateSet") else 0.0,
        leaf_boundaries_mm=devices.leaf_boundaries_mm,
        control_points=points,
        lower_boundaries_mm=devices.lower_boundaries_mm,
        leaf_axis=devices.leaf_axis,
        jaw_axes=devices.jaw_axes,
    )


def _check_computable(beam: Dataset, where: str) -> None:
    radiation = text(beam, "RadiationType")
    if radiation != "PHOTON":
        raise UnsupportedPlan(f"{where}: it is no photon beam ({radiation or 'radiation not stated'})")
    dosimeter = text(beam, "PrimaryDosimeterUnit")
    if dosimeter not in ("", "MU"):
        raise UnsupportedPlan(f"{where}: its meterset is in {dosimeter}, not in MU")
    for count_keyword, sequence_keyword, what in NOT_COMPUTED:
        counted = text(beam, count_keyword) if count_keyword else ""
        if items(beam, sequence_keyword) or (counted and int(counted) > 0):
            raise UnsupportedPlan(f"{where}: it uses {what}")


def _fluence_mode(beam: Dataset, where: str) -> str:
    """STANDARD, or the ID of a non-standard mode such as FFF. A beam that states none is flattened (PS3.3 C.8.8.14:
    the sequence is optional and STANDARD is the mode of a flattened beam)."""
    modes = items(beam, "PrimaryFluenceModeSequence")
    if not modes or text(modes[0], "FluenceMode") == "STANDARD":
        return "STANDARD"
    mode = text(modes[0], "FluenceModeID").upper()
    if not mode:
        raise UnsupportedPlan(f"{where}: its fluence mode has no name")
    return mode


def _patient_position(dataset: Dataset, treated: list[Dataset]) -> str:
    """The one position of the setups that treatment beams refer to; all setups where beams refer to none."""
    setups = {
        text(item, "PatientSetupNumber"): text(item, "PatientPosition")
        for item in items(dataset, "PatientSetupSequence")
    }
    wanted = {text(beam, "ReferencedPatientSetupNumber") for beam in treated} - {""} or set(setups)
    positions = {setups.get(setup, "") for setup in wanted}
    if len(positions) != 1:
        raise UnsupportedPlan("its beams treat the patient in no stated position or in several")
    position = positions.pop()
    if position not in PATIENT_POSITIONS:
        raise UnsupportedPlan(f"the patient position {position or '(not stated)'} is not one of HFS, HFP, FFS, FFP")
    return position


def _technique(beams: tuple[Beam, ...]) -> str:
    """VMAT if the gantry turns while a beam delivers, SLIDING_WINDOW if anything else moves then, otherwise
    STEP_AND_SHOOT, of which a static field is the case of one segment."""
    delivering = [
        (before, after)
        for beam in beams
        for before, after in pairwise(beam.control_points)
        if after.cumulative_mu > before.cumulative_mu
    ]
    if any(before.gantry_deg != after.gantry_deg for before, after in delivering):
        return "VMAT"
    return (
        "SLIDING_WINDOW" if any(_shape(before) != _shape(after) for before, after in delivering) else "STEP_AND_SHOOT"
    )


def _shape(point: ControlPoint) -> tuple[object, ...]:
    leaves = (point.leaf_a_mm, point.leaf_b_mm, point.lower_a_mm, point.lower_b_mm)
    return (point.collimator_deg, point.couch_deg, point.jaws, *leaves)


def _stated(dataset: Dataset, kind: str, dose: str) -> tuple[DoseReference, ...]:
    """Of the dose references of a type (PS3.3 C.8.8.10) those that state this dose."""
    references = []
    for item in items(dataset, "DoseReferenceSequence"):
        if text(item, "DoseReferenceType") != kind or not text(item, dose):
            continue
        roi = text(item, "ReferencedROINumber")
        references.append(
            DoseReference(
                dose_gy=number(item, dose, WHAT),
                roi_number=int(roi) if roi else None,
                description=text(item, "DoseReferenceDescription"),
            )
        )
    return tuple(references)
