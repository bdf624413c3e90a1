"""Each way a written object can differ from what was approved is caught and named.

The tampered files get a matching digest in the set, so that the comparison of contents has to find them; only one test
leaves the digest as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from appliance.contracts import ExportSet
from appliance.dicomio.values import new_uid
from appliance.errors import ReadBackMismatch
from appliance.export import read_back, write_export_set

from .conftest import Approved, read_dose, read_plan

Change = Callable[[Dataset], None]


@pytest.fixture
def written(approved: Approved, tmp_path: Path) -> ExportSet:
    return write_export_set(
        approved.case, approved.plan, approved.dose, approved.approval, tmp_path / "export", per_beam_dose=True
    )


def check(export_set: ExportSet, approved: Approved) -> None:
    read_back(export_set, approved.case, approved.plan, approved.dose, read_plan=read_plan, read_dose=read_dose)


def tampered(export_set: ExportSet, path: Path, change: Change) -> ExportSet:
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return replace(export_set, sha256=tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in export_set.files))


def test_what_was_written_reads_back(written: ExportSet, approved: Approved) -> None:
    check(written, approved)


def test_a_single_changed_byte_is_caught_by_the_digest(written: ExportSet, approved: Approved) -> None:
    data = bytearray(written.doses[0].read_bytes())
    data[-1] ^= 1
    written.doses[0].write_bytes(bytes(data))
    with pytest.raises(ReadBackMismatch, match=r"RD\.dcm was changed"):
        check(written, approved)


def test_a_missing_file_is_named(written: ExportSet, approved: Approved) -> None:
    written.structures.unlink()
    with pytest.raises(ReadBackMismatch, match="could not be read"):
        check(written, approved)


def point(dataset: Dataset, beam: int, index: int) -> Dataset:
    return dataset.BeamSequence[beam].ControlPointSequence[index]


def set_leaf(dataset: Dataset, leaf: int, by_mm: float) -> None:
    device = point(dataset, 0, 2).BeamLimitingDevicePositionSequence[0]
    positions = list(device.LeafJawPositions)
    positions[leaf] = float(positions[leaf]) + by_mm
    device.LeafJawPositions = positions


def set_jaw(dataset: Dataset) -> None:
    point(dataset, 1, 0).BeamLimitingDevicePositionSequence[1].LeafJawPositions[0] = -20.02


def set_boundaries(dataset: Dataset) -> None:
    dataset.BeamSequence[0].BeamLimitingDeviceSequence[2].LeafPositionBoundaries[1] = -9.0


def set_meterset(dataset: Dataset) -> None:
    dataset.FractionGroupSequence[0].ReferencedBeamSequence[1].BeamMeterset = 100.14


def swap_beam_metersets(dataset: Dataset) -> None:
    first, second = dataset.FractionGroupSequence[0].ReferencedBeamSequence
    first.BeamMeterset = 99.0
    second.BeamMeterset = 101.25


def drop_control_point(dataset: Dataset) -> None:
    dataset.BeamSequence[0].ControlPointSequence.pop(1)


def drop_beam(dataset: Dataset) -> None:
    dataset.BeamSequence.pop()


PLAN_CHANGES: dict[str, tuple[Change, str]] = {
    "leaf of bank A": (lambda ds: set_leaf(ds, 1, 0.02), "beam 1, control point 2, leaf of bank A"),
    "leaf of bank B": (lambda ds: set_leaf(ds, 6, -0.02), "beam 1, control point 2, leaf of bank B"),
    "jaw": (set_jaw, "beam 2, control point 0, jaw"),
    "leaf boundaries": (set_boundaries, "leaf boundary"),
    "meterset": (set_meterset, "beam 2, control point 3, monitor units"),
    "swapped metersets": (swap_beam_metersets, "beam 1, control point 1, monitor units"),
    "segment weight": (
        lambda ds: setattr(point(ds, 0, 1), "CumulativeMetersetWeight", 0.3),
        "beam 1, control point 1, monitor units",
    ),
    "control point lost": (drop_control_point, "number of control points"),
    "beam lost": (drop_beam, "beam numbers"),
    "gantry": (lambda ds: setattr(point(ds, 1, 0), "GantryAngle", 200.02), "beam 2, control point 0, gantry"),
    "collimator": (lambda ds: setattr(point(ds, 0, 0), "BeamLimitingDeviceAngle", 355), "collimator"),
    "couch": (lambda ds: setattr(point(ds, 0, 0), "PatientSupportAngle", 0.02), "couch"),
    "isocentre": (lambda ds: setattr(point(ds, 0, 0), "IsocenterPosition", [1.5, -2.25, 3.02]), "isocentre"),
    "energy": (lambda ds: setattr(point(ds, 0, 0), "NominalBeamEnergy", 10), "energy"),
    "dose rate": (lambda ds: setattr(point(ds, 0, 0), "DoseRateSet", 1400), "dose rate"),
    "machine": (lambda ds: setattr(ds.BeamSequence[0], "TreatmentMachineName", "other"), "machine"),
    "fluence mode": (
        lambda ds: setattr(ds.BeamSequence[0].PrimaryFluenceModeSequence[0], "FluenceModeID", "FFF"),
        "fluence mode",
    ),
    "SAD": (lambda ds: setattr(ds.BeamSequence[0], "SourceAxisDistance", 990), "SAD"),
    "fractions": (lambda ds: setattr(ds.FractionGroupSequence[0], "NumberOfFractionsPlanned", 24), "fractions"),
    "patient position": (lambda ds: setattr(ds.PatientSetupSequence[0], "PatientPosition", "HFP"), "position"),
    "prescription": (
        lambda ds: setattr(ds.DoseReferenceSequence[0], "TargetPrescriptionDose", 50.01),
        "prescription of PTV",
    ),
    "prescribed target": (
        lambda ds: setattr(ds.DoseReferenceSequence[0], "DoseReferenceDescription", "Core"),
        "prescribed target",
    ),
    "approval": (lambda ds: setattr(ds, "ApprovalStatus", "UNAPPROVED"), "approval status"),
    "structure set reference": (
        lambda ds: setattr(ds.ReferencedStructureSetSequence[0], "ReferencedSOPInstanceUID", new_uid()),
        "the plan's structure set",
    ),
    "predecessor": (lambda ds: delattr(ds, "ReferencedRTPlanSequence"), "predecessor"),
    "instance UID": (lambda ds: setattr(ds, "SOPInstanceUID", new_uid()), "another SOP instance UID"),
}


@pytest.mark.parametrize("what", PLAN_CHANGES)
def test_tampering_with_the_plan_is_caught(what: str, written: ExportSet, approved: Approved) -> None:
    change, named = PLAN_CHANGES[what]
    with pytest.raises(ReadBackMismatch, match=named):
        check(tampered(written, written.plan, change), approved)


def add_dose(dataset: Dataset) -> None:
    pixels = dataset.pixel_array.copy()
    pixels[3, 7, 8] += 40
    dataset.PixelData = pixels.tobytes()


def shift(dataset: Dataset) -> None:
    dataset.ImagePositionPatient[0] += 4.0


def flip(dataset: Dataset) -> None:
    dataset.PixelData = dataset.pixel_array[:, :, ::-1].tobytes()


def halve(dataset: Dataset) -> None:
    count = dataset.NumberOfFrames // 2
    dataset.PixelData = dataset.pixel_array[:count].tobytes()
    dataset.NumberOfFrames = count
    dataset.GridFrameOffsetVector = dataset.GridFrameOffsetVector[:count]


def reference_other_beam(dataset: Dataset) -> None:
    group = dataset.ReferencedRTPlanSequence[0].ReferencedFractionGroupSequence[0]
    group.ReferencedBeamSequence[0].ReferencedBeamNumber = 1


DOSE_CHANGES: dict[str, tuple[int, Change, str]] = {
    "one voxel": (0, add_dose, "Gy was written where"),
    "one voxel of a beam": (2, add_dose, "dose of beam 2: .* Gy was written where"),
    "scaling": (0, lambda ds: setattr(ds, "DoseGridScaling", float(ds.DoseGridScaling) * 1.001), "Gy was written"),
    "shifted by a voxel": (0, shift, "Gy was written where"),
    "shifted by a part": (0, lambda ds: setattr(ds, "ImagePositionPatient", [-35.0, -28, -15]), "is shifted"),
    "moved outside": (0, lambda ds: setattr(ds, "ImagePositionPatient", [-54, -28, -15]), "reaches beyond"),
    "mirrored": (0, flip, "Gy was written where"),
    "voxel size": (0, lambda ds: setattr(ds, "PixelSpacing", [4.0, 4.02]), "voxel size"),
    "frames lost": (0, halve, "lie outside the written grid"),
    "beam's kind": (1, lambda ds: setattr(ds, "DoseSummationType", "PLAN"), "dose of beam 1, kind"),
    "beam's reference": (2, reference_other_beam, "dose of beam 2, beam"),
    "plan reference": (
        0,
        lambda ds: setattr(ds.ReferencedRTPlanSequence[0], "ReferencedSOPInstanceUID", new_uid()),
        "the dose's plan",
    ),
}


@pytest.mark.parametrize("what", DOSE_CHANGES)
def test_tampering_with_a_dose_is_caught(what: str, written: ExportSet, approved: Approved) -> None:
    index, change, named = DOSE_CHANGES[what]
    with pytest.raises(ReadBackMismatch, match=named):
        check(tampered(written, written.doses[index], change), approved)


def move_point(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[1].ContourSequence[0]
    data = [float(value) for value in contour.ContourData]
    data[3] += 0.02
    contour.ContourData = data


def shorten(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[1].ContourSequence[0]
    contour.ContourData = contour.ContourData[:-3]


def other_image(dataset: Dataset) -> None:
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    series.ContourImageSequence[0].ReferencedSOPInstanceUID = new_uid()


def other_contour_image(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourImageSequence[0].ReferencedSOPInstanceUID = new_uid()


def assign_density(dataset: Dataset) -> None:
    item = Dataset()
    item.ROIPhysicalProperty, item.ROIPhysicalPropertyValue = "REL_MASS_DENSITY", 4.5
    dataset.RTROIObservationsSequence[1].ROIPhysicalPropertiesSequence = [item]


STRUCTURE_CHANGES: dict[str, tuple[Change, str]] = {
    "point": (move_point, "contour 1 of PTV, coordinate 4"),
    "point lost": (shorten, "contour 1 of PTV"),
    "contour lost": (lambda ds: ds.ROIContourSequence[2].ContourSequence.pop(), "contours of Core"),
    "structure lost": (lambda ds: ds.ROIContourSequence.pop(), "structures with contours"),
    "name": (lambda ds: setattr(ds.StructureSetROISequence[1], "ROIName", "PTV2"), "structures"),
    "contours swapped": (
        lambda ds: [setattr(ds.ROIContourSequence[i], "ReferencedROINumber", n) for i, n in ((1, 5), (2, 2))],
        "contours of PTV",
    ),
    "density": (assign_density, "REL_MASS_DENSITY of PTV, stated"),
    "image": (other_image, "structure set's images"),
    "contour's image": (other_contour_image, "references an image that is not the case's"),
    "predecessor": (lambda ds: delattr(ds, "PredecessorStructureSetSequence"), "structure set's predecessor"),
}


@pytest.mark.parametrize("what", STRUCTURE_CHANGES)
def test_tampering_with_the_structures_is_caught(what: str, written: ExportSet, approved: Approved) -> None:
    change, named = STRUCTURE_CHANGES[what]
    with pytest.raises(ReadBackMismatch, match=named):
        check(tampered(written, written.structures, change), approved)


@pytest.mark.parametrize("file", ["plan", "dose", "structures"])
@pytest.mark.parametrize(
    "keyword",
    ["PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "FrameOfReferenceUID"],
)
def test_another_identity_is_caught_and_not_told(
    file: str, keyword: str, written: ExportSet, approved: Approved
) -> None:
    path = {"plan": written.plan, "dose": written.doses[0], "structures": written.structures}[file]
    other = {"PatientBirthDate": "19610204", "PatientSex": "M"}.get(keyword, new_uid())
    with pytest.raises(ReadBackMismatch) as mismatch:
        check(tampered(written, path, lambda dataset: setattr(dataset, keyword, other)), approved)
    assert path.name in str(mismatch.value)
    for secret in (approved.case.identity.patient_id, approved.case.identity.patient_name, other):
        assert secret not in str(mismatch.value)


def test_rounding_at_the_edge_of_the_tolerances_is_no_difference(written: ExportSet, approved: Approved) -> None:
    def nudge(dataset: Dataset) -> None:
        set_leaf(dataset, 0, 0.01)
        point(dataset, 0, 0).GantryAngle = 359.99

    check(tampered(written, written.plan, nudge), approved)


def test_dose_values_that_are_not_numbers_are_caught(written: ExportSet, approved: Approved) -> None:
    def read_nan(path: Path) -> tuple[object, np.ndarray]:
        grid, dose_gy = read_dose(path)
        dose_gy[2, 2, 2] = np.nan
        return grid, dose_gy

    with pytest.raises(ReadBackMismatch, match="nan Gy was written"):
        read_back(written, approved.case, approved.plan, approved.dose, read_plan=read_plan, read_dose=read_nan)
