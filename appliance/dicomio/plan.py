"""RT Plan of photon beams (PS3.3 A.20): the general part. Beams and control points are written by `beams`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydicom.dataset import Dataset
from pydicom.uid import RTPlanStorage

from appliance.contracts import Approval, Beam, Identity, Plan, PrescribedTarget, SourceObject
from appliance.dicomio.beams import MU_DECIMALS, beam_item
from appliance.dicomio.dose import FRACTION_GROUP
from appliance.dicomio.files import RESEARCH_NOTICE, new_dataset, sop_reference
from appliance.dicomio.read import read_dataset
from appliance.dicomio.values import LONG_STRING, SHORT_STRING, clipped, date_time, ds, ds_list, new_uid
from appliance.errors import ExportError

DOSE_DECIMALS = 4
"""Doses in the plan are written to 0.1 mGy; chosen, because prescriptions are stated to 10 mGy at best."""


def plan_dataset(
    plan: Plan,
    *,
    identity: Identity,
    structure_set: SourceObject,
    predecessor: SourceObject | None,
    prescription: Sequence[PrescribedTarget],
    approval: Approval | None = None,
    frame_of_reference_uid: str = "",
    beam_dose_gy: Mapping[int, float] | None = None,
) -> Dataset:
    """The plan as RTPLAN. APPROVED only with an approval, else UNAPPROVED; its intent is always RESEARCH.

    The file of `structure_set` is read for the ROI numbers of the prescribed targets (TG-263 or ROI name); a target it
    does not hold is written as a site. predecessor: the plan this one adapts. beam_dose_gy: dose of one fraction at
    the beam's isocentre by beam number. Raises ExportError for a plan no machine could read, RefusedObject if the
    structure set cannot be read.
    """
    if len({beam.number for beam in plan.beams}) != len(plan.beams):
        raise ExportError("two beams have the same number; number them apart and export again")
    dataset = new_dataset(
        RTPlanStorage,
        identity,
        modality="RTPLAN",
        series_instance_uid=new_uid(),
        series_description=f"{plan.label} plan",
    )
    if frame_of_reference_uid:
        dataset.FrameOfReferenceUID = frame_of_reference_uid
        dataset.PositionReferenceIndicator = ""
    dataset.InstanceNumber = 1
    _add_general(dataset, plan, structure_set, predecessor, approval)
    if prescription:
        numbers = _roi_numbers(structure_set)
        dataset.DoseReferenceSequence = [
            _dose_reference(target, number, numbers) for number, target in enumerate(prescription, start=1)
        ]
    dataset.FractionGroupSequence = [_fraction_group(plan, beam_dose_gy or {})]
    dataset.PatientSetupSequence = [_setup(plan)]
    if plan.beams:
        dataset.BeamSequence = [beam_item(beam) for beam in plan.beams]
    _add_approval(dataset, approval)
    return dataset


def _add_general(
    dataset: Dataset,
    plan: Plan,
    structure_set: SourceObject,
    predecessor: SourceObject | None,
    approval: Approval | None,
) -> None:
    dataset.RTPlanLabel = clipped(plan.label, SHORT_STRING) or "Couchside"
    dataset.RTPlanName = clipped(plan.label, LONG_STRING)
    demo = " - approved by a demonstration identity, by no clinician" if approval and approval.is_demo else ""
    dataset.RTPlanDescription = f"{RESEARCH_NOTICE}{demo}"
    dataset.RTPlanDate, dataset.RTPlanTime = date_time(datetime.now(UTC))
    dataset.PlanIntent = "RESEARCH"
    dataset.RTPlanGeometry = "PATIENT"
    dataset.ReferencedStructureSetSequence = [sop_reference(structure_set)]
    if predecessor is not None:
        item = sop_reference(predecessor)
        item.RTPlanRelationship = "PREDECESSOR"
        dataset.ReferencedRTPlanSequence = [item]


def _roi_numbers(structure_set: SourceObject) -> dict[str, int]:
    """ROI number by name; a TG-263 name in the observation label wins over a received name."""
    dataset = read_dataset(structure_set.path, what="RTSTRUCT")
    numbers = {str(roi.ROIName): int(roi.ROINumber) for roi in dataset.get("StructureSetROISequence", [])}
    for observation in dataset.get("RTROIObservationsSequence", []):
        label = str(observation.get("ROIObservationLabel") or "")
        if label:
            numbers[label] = int(observation.ReferencedROINumber)
    return numbers


def _dose_reference(target: PrescribedTarget, number: int, roi_numbers: Mapping[str, int]) -> Dataset:
    item = Dataset()
    item.DoseReferenceNumber = number
    item.DoseReferenceUID = new_uid()
    roi_number = roi_numbers.get(target.structure)
    item.DoseReferenceStructureType = "SITE" if roi_number is None else "VOLUME"
    if roi_number is not None:
        item.ReferencedROINumber = roi_number
    item.DoseReferenceDescription = clipped(target.structure, LONG_STRING)
    item.DoseReferenceType = "TARGET"
    item.TargetPrescriptionDose = ds(target.dose_gy, DOSE_DECIMALS)
    return item


def _fraction_group(plan: Plan, beam_dose_gy: Mapping[int, float]) -> Dataset:
    item = Dataset()
    item.FractionGroupNumber = FRACTION_GROUP
    item.NumberOfFractionsPlanned = plan.fractions
    item.NumberOfBeams = len(plan.beams)
    item.NumberOfBrachyApplicationSetups = 0
    if plan.beams:
        item.ReferencedBeamSequence = [_beam_meterset(beam, beam_dose_gy.get(beam.number)) for beam in plan.beams]
    return item


def _beam_meterset(beam: Beam, dose_gy: float | None) -> Dataset:
    item = Dataset()
    if dose_gy is not None:
        item.BeamDoseSpecificationPoint = ds_list(beam.isocentre_mm)
        item.BeamDose = ds(dose_gy, DOSE_DECIMALS)
    item.BeamMeterset = ds(beam.mu, MU_DECIMALS)
    item.ReferencedBeamNumber = beam.number
    return item


def _setup(plan: Plan) -> Dataset:
    item = Dataset()
    item.PatientPosition = plan.patient_position
    item.PatientSetupNumber = 1
    item.SetupTechnique = "ISOCENTRIC"
    return item


def _add_approval(dataset: Dataset, approval: Approval | None) -> None:
    if approval is None:
        dataset.ApprovalStatus = "UNAPPROVED"
        return
    try:
        moment = datetime.fromisoformat(approval.approved_at)
    except ValueError as error:
        raise ExportError("the approval has no readable time; approve the plan again") from error
    dataset.ApprovalStatus = "APPROVED"
    dataset.ReviewDate, dataset.ReviewTime = date_time(moment)
    dataset.ReviewerName = clipped(approval.approver, LONG_STRING)
