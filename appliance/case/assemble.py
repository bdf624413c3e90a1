"""Received objects to one `Case`: today's image and structures, and the plan and dose they adapt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import CTImageStorage, MRImageStorage, RTDoseStorage, RTPlanStorage, RTStructureSetStorage
from pydicom.valuerep import PersonName

from appliance.case.attributes import identity_of, items, source_of, text
from appliance.case.dose import WHAT as RTDOSE
from appliance.case.dose import dose_of
from appliance.case.image import MODALITIES, PATIENT_POSITIONS, ImageSeries, read_image
from appliance.case.plan import PlanReading, read_plan_file
from appliance.case.prescription import organ_limits_of, prescription_of
from appliance.case.structure_set import StructureReading, read_structures
from appliance.case.to_today import anatomy_notes, plan_today, rigid_of, target_shift_mm
from appliance.contracts import Case, Identity, PrescribedTarget, Received, SourceObject
from appliance.contracts.anatomy import Anatomy
from appliance.dicomio.read import read_dataset
from appliance.errors import IncompleteCase, InconsistentCase
from engines.grid import resample
from engines.registration import moved

WHOLE_PLAN = ("PLAN", "PLAN_OVERVIEW")
"""Dose Summation Types (PS3.3 C.8.8.3) of the dose of a whole course of one plan."""


@dataclass(frozen=True, eq=False)
class _Dose:
    source: SourceObject
    identity: Identity
    dose_gy: NDArray[np.float32] | None
    note: str


def assemble(received: Sequence[Received], anatomy: Anatomy | None = None) -> Case:
    """The case these objects make: one CT series, one structure set, at most one plan and one dose of a whole plan.

    anatomy: how today lies to the reference, where that was found: its structure set stands for one that was not
    received, its density for today's image, and plan and dose come to today by its rigid motion. Raises IncompleteCase
    without CT or structure set; InconsistentCase `case.several`, `case.identity`, `case.patient-position`,
    `case.changed`, `case.no-hounsfield` and what reading images and structures raises; RefusedObject and
    UnsupportedPlan as the readers raise them."""
    made = None if anatomy is None else anatomy.structure_set
    if made is not None:
        received = (*(item for item in received if item.sop_class_uid != str(RTStructureSetStorage)), made)
    series = _series(received, anatomy)
    structures = read_structures(_one(received, RTStructureSetStorage, "structure set").path, series)
    plan_object, dose_object = _optional(received, RTPlanStorage, "plan"), _optional(received, RTDoseStorage, "dose")
    plan = read_plan_file(plan_object.path) if plan_object else None
    dose = _reference_dose(dose_object.path, series, plan, anatomy) if dose_object else None
    others = [item for item in (structures, plan, dose) if item is not None]
    check_one_person(series.identity, [item.identity for item in others])
    sources = (*series.sources, *(item.source for item in others))
    _check_unchanged(received, sources)
    prescription, notes = _prescription(structures, plan)
    position = _patient_position(series, plan, notes)
    if dose is not None and dose.note:
        notes.append(dose.note)
    return Case(
        digest=_digest(sources, anatomy),
        identity=series.identity,
        frame_of_reference_uid=series.frame_of_reference_uid,
        patient_position=position,
        image=series.image,
        structures=structures.structures,
        prescription=prescription,
        fractions=plan.plan.fractions if plan else 0,
        images=series.sources,
        structure_set=structures.source,
        reference_plan_object=plan.source if plan else None,
        reference_plan=plan_today(plan.plan, anatomy) if plan else None,
        reference_dose_object=dose.source if dose else None,
        reference_dose_gy=dose.dose_gy if dose else None,
        notes=(*notes, *(anatomy_notes(anatomy, has_plan=plan is not None) if anatomy else _frame_notes(series, plan))),
        structure_predecessor=structures.predecessor if made else None,
        target_shift_mm=target_shift_mm(anatomy, structures.structures),
        reference_limits=organ_limits_of(plan, structures.structures, structures.source.sop_instance_uid),
    )


def _series(received: Sequence[Received], anatomy: Anatomy | None) -> ImageSeries:
    if anatomy is not None and anatomy.density is not None:
        images = [item.path for item in received if item.sop_class_uid in MODALITIES]
        series = read_image(images, hounsfield=False)
        return replace(series, image=anatomy.density)
    slices = [item.path for item in received if item.sop_class_uid == str(CTImageStorage)]
    if not slices and any(item.sop_class_uid == str(MRImageStorage) for item in received):
        raise InconsistentCase(
            "dose cannot be calculated on it",
            what="An MR image alone",
            remedy="Send the CT, or a synthetic CT made from the MR, with the structure set",
            rule="case.no-hounsfield",
        )
    if not slices:
        raise IncompleteCase("there is no CT image", remedy="Send today's CT series")
    return read_image(slices)


def _optional(received: Sequence[Received], sop_class_uid: str, name: str) -> Received | None:
    found = [item for item in received if item.sop_class_uid == str(sop_class_uid)]
    if len(found) > 1:
        raise InconsistentCase(
            f"it holds {len(found)} objects of kind {name}",
            what="The case",
            remedy=f"Send only the {name} that is to be used",
            rule="case.several",
        )
    return found[0] if found else None


def _one(received: Sequence[Received], sop_class_uid: str, name: str) -> Received:
    found = _optional(received, sop_class_uid, name)
    if found is None:
        raise IncompleteCase(f"there is no {name}", remedy=f"Send the {name} drawn on today's image")
    return found


def _reference_dose(path: Path, series: ImageSeries, plan: PlanReading | None, anatomy: Anatomy | None) -> _Dose:
    """The dose on today's grid, 0 where it was not calculated; None with a note where it says nothing about today."""
    dataset = read_dataset(path, what=RTDOSE)
    grid, dose_gy = dose_of(dataset)
    plans = {text(item, "ReferencedSOPInstanceUID") for item in items(dataset, "ReferencedRTPlanSequence")}
    note = ""
    if text(dataset, "DoseSummationType") not in WHOLE_PLAN:
        note = "The received dose is not that of a whole plan and is not shown"
    elif plan is not None and plans and plan.source.sop_instance_uid not in plans:
        note = "The received dose belongs to another plan than the received one and is not shown"
    elif anatomy is None and text(dataset, "FrameOfReferenceUID") != series.frame_of_reference_uid:
        note = "The received dose is in the frame of reference of another image and is not shown on today's"
    if note:
        today = None
    elif anatomy is None:
        today = resample(dose_gy, grid, series.image.grid)
    else:
        today = moved(dose_gy, grid, series.image.grid, rigid_of(anatomy), outside=0.0)
    return _Dose(source_of(dataset, path, RTDOSE), identity_of(dataset), today, note)


def check_one_person(images: Identity, others: Sequence[Identity]) -> None:
    """Patient ID, name, birth date and sex must not contradict each other; empty ones do not. Raises InconsistentCase
    `case.identity`."""
    for name in ("patient_id", "patient_name", "birth_date", "sex"):
        values = {_plain(str(getattr(identity, name))) for identity in (images, *others)} - {""}
        if len(values) > 1:
            raise InconsistentCase(
                f"they differ in {name.replace('_', ' ').replace(' id', ' ID')}",
                what="The objects of this case",
                remedy="Check that they belong to one patient, correct the wrong ones at their source, send them again",
                rule="case.identity",
            )


def _plain(value: str) -> str:
    """Case, white space and trailing name delimiters differ between systems for one person."""
    return "^".join(" ".join(part.split()) for part in str(PersonName(value)).split("^")).rstrip("^").casefold()


def _check_unchanged(received: Sequence[Received], sources: Sequence[SourceObject]) -> None:
    """What was read must be, byte for byte, what was accepted."""
    accepted = {item.path: item.sha256 for item in received}
    if any(accepted[source.path] not in ("", source.sha256) for source in sources):
        raise InconsistentCase(
            "a stored object is not the one that was received",
            what="The case",
            remedy="Check the store's disk, remove the case from it and send it again",
            rule="case.changed",
        )


def _prescription(
    structures: StructureReading, plan: PlanReading | None
) -> tuple[tuple[PrescribedTarget, ...], list[str]]:
    notes = list(structures.notes)
    if plan is None:
        return (), notes
    notes.extend(plan.notes)
    prescription, more = prescription_of(plan, structures.structures, structures.source.sop_instance_uid)
    return prescription, [*notes, *more]


def _patient_position(series: ImageSeries, plan: PlanReading | None, notes: list[str]) -> str:
    stated, planned = series.patient_position, plan.plan.patient_position if plan else ""
    if stated and planned and stated != planned:
        raise InconsistentCase(
            f"the patient lies {stated} on today's image and {planned} in the received plan",
            what="The case",
            remedy="Check how the patient lies and send the image and the plan that belong together",
            rule="case.patient-position",
        )
    if not stated and planned:
        notes.append(f"The image does not say how the patient lies; {planned} was taken from the received plan")
    position = stated or planned
    if position not in PATIENT_POSITIONS:
        raise InconsistentCase(
            "the patient position is stated nowhere",
            what="The case",
            remedy="Send images that state HFS, HFP, FFS or FFP",
            rule="case.patient-position",
        )
    return position


def _frame_notes(series: ImageSeries, plan: PlanReading | None) -> list[str]:
    if plan is None or plan.frame_of_reference_uid in ("", series.frame_of_reference_uid):
        return []
    return ["The received plan is in another frame of reference: its isocentre is taken at the same coordinates today"]


def _digest(sources: Sequence[SourceObject], anatomy: Anatomy | None) -> str:
    parts = [source.sha256 for source in sources]
    if anatomy is not None:
        parts.append(hashlib.sha256(anatomy.report.to_json()).hexdigest())
        parts += [] if anatomy.density is None else [hashlib.sha256(anatomy.density.hu.tobytes()).hexdigest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
