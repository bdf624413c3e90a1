"""Written means read back: the files of an export set against the case, plan and dose that were approved.

Plan and dose are read by the readers that read what comes in, handed over by the session; identity, references,
prescription and contours are read here from the bare attributes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from appliance.contracts import CalculatedDose, Case, ExportSet, Plan, Structure
from appliance.dicomio.read import read_dataset
from appliance.dicomio.values import LONG_STRING, clipped
from appliance.errors import ReadBackMismatch, RefusedInput, UnsupportedPlan
from appliance.export.differences import POSITION_TOLERANCE_MM, near, near_all, require, same
from appliance.export.read_back_dose import compare_dose
from appliance.export.read_back_plan import compare_plan
from engines.grid import Grid

PRESCRIPTION_TOLERANCE_GY = 1e-3
"""Prescribed doses are written to 1e-4 Gy."""

DENSITY_TOLERANCE = 1e-6
"""Densities relative to water are written with 16 characters."""

_IDENTITY = {
    "PatientID": "patient_id",
    "PatientName": "patient_name",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
    "StudyInstanceUID": "study_instance_uid",
}


def read_back(
    export_set: ExportSet,
    case: Case,
    plan: Plan,
    dose: CalculatedDose,
    *,
    read_plan: Callable[[Path], Plan],
    read_dose: Callable[[Path], tuple[Grid, NDArray[np.floating]]],
) -> None:
    """Raises ReadBackMismatch naming the first difference, also when a file can no longer be read."""
    try:
        _compare_bytes(export_set)
        datasets = [read_dataset(path, what=path.name) for path in export_set.files]
        _compare_identity(export_set, datasets, case)
        _compare_references(export_set, datasets, case)
        _compare_prescription(datasets[0], case)
        compare_plan(read_plan(export_set.plan), plan)
        _compare_doses(export_set, datasets, plan, dose, read_dose)
        _compare_structures(datasets[-1], case.structures)
    except (RefusedInput, UnsupportedPlan, OSError) as error:
        raise ReadBackMismatch(f"a written file could not be read: {error}") from error


def _compare_bytes(export_set: ExportSet) -> None:
    same("number of files", len(export_set.files), len(export_set.sha256))
    for path, sha256 in zip(export_set.files, export_set.sha256, strict=True):
        require(
            hashlib.sha256(path.read_bytes()).hexdigest() == sha256, f"{path.name} was changed after it was written"
        )


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").rstrip("^ ")


def _compare_identity(export_set: ExportSet, datasets: Sequence[Dataset], case: Case) -> None:
    """Says which attribute differs, never its value: it is the patient's."""
    for path, dataset, uid in zip(export_set.files, datasets, export_set.sop_instance_uids, strict=True):
        require(_text(dataset, "SOPInstanceUID") == uid, f"{path.name} has another SOP instance UID")
        for keyword, field in _IDENTITY.items():
            approved = str(getattr(case.identity, field)).rstrip("^ ")
            require(_text(dataset, keyword) == approved, f"{path.name} has another {keyword} than the case")
        require(
            _text(dataset, "FrameOfReferenceUID") == case.frame_of_reference_uid,
            f"{path.name} has another frame of reference than the case",
        )
    known = {source.sop_instance_uid for source in (*case.images, case.structure_set)}
    fresh = set(export_set.sop_instance_uids)
    require(len(fresh) == len(datasets) and not fresh & known, "an instance UID was used twice")


def _referenced(dataset: Dataset, keyword: str) -> list[str]:
    return [str(item.get("ReferencedSOPInstanceUID")) for item in dataset.get(keyword, [])]


def _compare_references(export_set: ExportSet, datasets: Sequence[Dataset], case: Case) -> None:
    plan, *doses, structures = datasets
    plan_uid, structures_uid = export_set.sop_instance_uids[0], export_set.sop_instance_uids[-1]
    before = [] if case.reference_plan_object is None else [case.reference_plan_object.sop_instance_uid]
    images = [source.sop_instance_uid for source in case.images]
    for found, expected, what in (
        (_referenced(plan, "ReferencedStructureSetSequence"), [structures_uid], "the plan's structure set"),
        (_referenced(plan, "ReferencedRTPlanSequence"), before, "the plan's predecessor"),
        *((_referenced(dose, "ReferencedRTPlanSequence"), [plan_uid], "the dose's plan") for dose in doses),
        (
            _referenced(structures, "PredecessorStructureSetSequence"),
            [(case.structure_predecessor or case.structure_set).sop_instance_uid],
            "the structure set's predecessor",
        ),
        (_image_references(structures), images, "the structure set's images"),
    ):
        require(found == expected, f"the reference to {what} does not lead there")
    require(_contour_images(structures) <= set(images), "a contour references an image that is not the case's")
    same("approval status", _text(plan, "ApprovalStatus"), "APPROVED" if export_set.approved else "UNAPPROVED")


def _image_references(structures: Dataset) -> list[str]:
    return [
        uid
        for frame in structures.get("ReferencedFrameOfReferenceSequence", [])
        for study in frame.get("RTReferencedStudySequence", [])
        for series in study.get("RTReferencedSeriesSequence", [])
        for uid in _referenced(series, "ContourImageSequence")
    ]


def _contour_images(structures: Dataset) -> set[str]:
    return {
        uid
        for item in structures.get("ROIContourSequence", [])
        for contour in item.get("ContourSequence", [])
        for uid in _referenced(contour, "ContourImageSequence")
    }


def _compare_prescription(plan: Dataset, case: Case) -> None:
    written = plan.get("DoseReferenceSequence", [])
    same("number of prescribed targets", len(written), len(case.prescription))
    for item, target in zip(written, case.prescription, strict=True):
        same("prescribed target", _text(item, "DoseReferenceDescription"), clipped(target.structure, LONG_STRING))
        read_gy = float(item.get("TargetPrescriptionDose") or 0.0)
        near(f"prescription of {target.structure} (Gy)", read_gy, target.dose_gy, PRESCRIPTION_TOLERANCE_GY)


def _compare_doses(
    export_set: ExportSet,
    datasets: Sequence[Dataset],
    plan: Plan,
    dose: CalculatedDose,
    read_dose: Callable[[Path], tuple[Grid, NDArray[np.floating]]],
) -> None:
    wanted: list[tuple[str, NDArray[np.float32], int | None]] = [("dose", dose.dose_gy, None)]
    if len(export_set.doses) > 1:
        same("number of dose files", len(export_set.doses), 1 + len(plan.beams))
        wanted += [
            (f"dose of beam {beam.number}", beam_gy, beam.number)
            for beam, beam_gy in zip(plan.beams, dose.beam_dose_gy, strict=True)
        ]
    for path, dataset, (what, approved_gy, number) in zip(export_set.doses, datasets[1:-1], wanted, strict=True):
        same(f"{what}, kind", _text(dataset, "DoseSummationType"), "PLAN" if number is None else "BEAM")
        same(f"{what}, beam", _referenced_beam(dataset), number)
        compare_dose(what, *read_dose(path), dose.grid, approved_gy)


def _referenced_beam(dose: Dataset) -> int | None:
    for plan in dose.get("ReferencedRTPlanSequence", []):
        for group in plan.get("ReferencedFractionGroupSequence", []):
            for beam in group.get("ReferencedBeamSequence", []):
                return int(beam.ReferencedBeamNumber)
    return None


def _compare_structures(dataset: Dataset, structures: Sequence[Structure]) -> None:
    names = [(int(roi.ROINumber), str(roi.ROIName)) for roi in dataset.get("StructureSetROISequence", [])]
    same("structures", names, [(one.number, clipped(one.name, LONG_STRING)) for one in structures])
    written = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence", [])}
    same("structures with contours", sorted(written), sorted(one.number for one in structures))
    observed = {int(item.ReferencedROINumber): item for item in dataset.get("RTROIObservationsSequence", [])}
    for structure in structures:
        _compare_density(structure, observed.get(structure.number, Dataset()))
        contours = written[structure.number].get("ContourSequence", [])
        same(f"contours of {structure.name}", len(contours), len(structure.contours))
        for number, (item, contour) in enumerate(zip(contours, structure.contours, strict=True), start=1):
            height = np.full((len(contour.points_mm), 1), contour.z_mm)
            approved = np.concatenate([contour.points_mm, height], axis=1).ravel()
            read = np.array(item.get("ContourData") or [], np.float64)
            if read.shape == approved.shape and np.allclose(read, approved, rtol=0, atol=POSITION_TOLERANCE_MM):
                continue
            where = f"contour {number} of {structure.name}, coordinate"
            near_all(where, read.tolist(), approved.tolist(), POSITION_TOLERANCE_MM)


def _compare_density(structure: Structure, observation: Dataset) -> None:
    read = {
        str(item.ROIPhysicalProperty): float(item.ROIPhysicalPropertyValue)
        for item in observation.get("ROIPhysicalPropertiesSequence", [])
    }
    for name, value in (
        ("REL_MASS_DENSITY", structure.density.relative_mass_density if structure.density else None),
        ("REL_ELEC_DENSITY", structure.density.relative_electron_density if structure.density else None),
    ):
        what = f"{name} of {structure.name}"
        same(f"{what}, stated", name in read, value is not None)
        if value is not None:
            near(what, read[name], value, DENSITY_TOLERANCE)
