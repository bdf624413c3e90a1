"""RT Structure Set of contours drawn on a CT series (PS3.3 A.19)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage

from appliance.contracts import Contour, Identity, SourceObject, Structure, StructureKind
from appliance.dicomio.files import RESEARCH_NOTICE, new_dataset, sop_reference
from appliance.dicomio.origin import write_origin
from appliance.dicomio.read import read_dataset
from appliance.dicomio.values import LONG_STRING, SHORT_STRING, clipped, date_time, ds, new_uid
from appliance.errors import ExportError

DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
"""Retired class that PS3.3 C.8.8.5 still has the referenced study named with."""

SLICE_TOLERANCE_MM = 0.05
"""A contour lies on a slice if their z differ by less; chosen, because decimal strings of peers round to 0.01 mm and
no slice is thinner than 0.2 mm."""

CONTOUR_DECIMALS = 4
_CONTOUR_DATA = Tag("ContourData")
"""Contour points are written to 0.0001 mm; chosen, because it is far under any contouring accuracy and keeps 'x\\y\\z'
short."""

INTERPRETED_TYPES = {
    StructureKind.EXTERNAL: "EXTERNAL",
    StructureKind.ORGAN: "ORGAN",
    StructureKind.SUPPORT: "SUPPORT",
    StructureKind.OTHER: "",
}


def structure_set_dataset(
    structures: Sequence[Structure],
    *,
    identity: Identity,
    frame_of_reference_uid: str,
    images: Sequence[SourceObject],
    label: str,
    predecessor: SourceObject | None = None,
) -> Dataset:
    """A new structure set that references every slice of `images` (whose headers are read for their z).

    ROI names are those received; the TG-263 name goes into the ROI observation label. Contours between slices are
    written without a contour image. Raises ExportError without images or structures, or for repeated ROI numbers,
    RefusedObject if a slice cannot be read.
    """
    if not structures or not images:
        raise ExportError("a structure set needs at least one structure and one image slice")
    if len({structure.number for structure in structures}) != len(structures):
        raise ExportError("two structures have the same ROI number; number them apart and export again")
    dataset = new_dataset(
        RTStructureSetStorage,
        identity,
        modality="RTSTRUCT",
        series_instance_uid=new_uid(),
        series_description=f"{label} structures",
    )
    dataset.FrameOfReferenceUID = frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = clipped(label, SHORT_STRING) or "Couchside"
    dataset.StructureSetName = clipped(label, LONG_STRING)
    dataset.StructureSetDescription = RESEARCH_NOTICE
    dataset.StructureSetDate, dataset.StructureSetTime = date_time(datetime.now(UTC))
    if predecessor is not None:
        dataset.PredecessorStructureSetSequence = [sop_reference(predecessor)]
    dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(identity, frame_of_reference_uid, images)]
    slices = _slices_by_z(images)
    dataset.StructureSetROISequence = [_roi(structure, frame_of_reference_uid) for structure in structures]
    dataset.ROIContourSequence = [_roi_contours(structure, slices) for structure in structures]
    dataset.RTROIObservationsSequence = [_observation(structure) for structure in structures]
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _frame_of_reference(identity: Identity, frame_of_reference_uid: str, images: Sequence[SourceObject]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = images[0].series_instance_uid
    series.ContourImageSequence = [sop_reference(image) for image in images]
    study = Dataset()
    study.ReferencedSOPClassUID = DETACHED_STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = identity.study_instance_uid
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    return frame


def _slices_by_z(images: Sequence[SourceObject]) -> tuple[tuple[float, SourceObject], ...]:
    placed = []
    for image in images:
        header = read_dataset(image.path, what=f"{image.modality} slice", pixels=False)
        position = header.get("ImagePositionPatient")
        if position is None or len(position) != 3:
            raise ExportError("an image slice has no position; send the image series again")
        placed.append((float(position[2]), image))
    return tuple(sorted(placed, key=lambda entry: entry[0]))


def _roi(structure: Structure, frame_of_reference_uid: str) -> Dataset:
    item = Dataset()
    item.ROINumber = structure.number
    item.ReferencedFrameOfReferenceUID = frame_of_reference_uid
    item.ROIName = clipped(structure.name, LONG_STRING)
    write_origin(item, structure.origin)
    return item


def _roi_contours(structure: Structure, slices: Sequence[tuple[float, SourceObject]]) -> Dataset:
    item = Dataset()
    item.ROIDisplayColor = list(structure.colour_rgb)
    item.ReferencedROINumber = structure.number
    if structure.contours:
        item.ContourSequence = [
            _contour(contour, number, slices) for number, contour in enumerate(structure.contours, start=1)
        ]
    return item


def _contour(contour: Contour, number: int, slices: Sequence[tuple[float, SourceObject]]) -> Dataset:
    if len(contour.points_mm) < 3:
        raise ExportError("a contour has fewer than three points; remove or redraw it")
    item = Dataset()
    z_mm, image = min(slices, key=lambda entry: abs(entry[0] - contour.z_mm))
    if abs(z_mm - contour.z_mm) < SLICE_TOLERANCE_MM:
        item.ContourImageSequence = [sop_reference(image)]
    item.ContourNumber = number
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(contour.points_mm)
    height = np.full((len(contour.points_mm), 1), contour.z_mm)
    points = np.concatenate([contour.points_mm, height], axis=1)
    item[_CONTOUR_DATA] = _decimal_strings(points.ravel().tolist())
    return item


def _decimal_strings(values: Sequence[float]) -> RawDataElement:
    """As bytes: pydicom makes an object of each decimal string and checks it, which for a clinical structure set takes
    longer than the registration of the image. Four decimals of less than 10 km are within 16 characters."""
    text = "\\".join([repr(round(value, CONTOUR_DECIMALS) + 0.0) for value in values]).encode("ascii")
    text += b" " * (len(text) % 2)
    return RawDataElement(_CONTOUR_DATA, "DS", len(text), text, 0, is_implicit_VR=False, is_little_endian=True)


def _observation(structure: Structure) -> Dataset:
    item = Dataset()
    item.ObservationNumber = structure.number
    item.ReferencedROINumber = structure.number
    item.ROIObservationLabel = clipped(structure.tg263, SHORT_STRING)
    item.RTROIInterpretedType = _interpreted_type(structure)
    item.ROIInterpreter = ""
    if structure.density is not None:
        item.ROIPhysicalPropertiesSequence = [
            _physical_property(name, value)
            for name, value in (
                ("REL_MASS_DENSITY", structure.density.relative_mass_density),
                ("REL_ELEC_DENSITY", structure.density.relative_electron_density),
            )
            if value is not None
        ]
    return item


def _physical_property(name: str, value: float) -> Dataset:
    item = Dataset()
    item.ROIPhysicalProperty = name
    item.ROIPhysicalPropertyValue = ds(value)
    return item


def _interpreted_type(structure: Structure) -> str:
    """Targets are told apart by their TG-263 prefix (AAPM TG-263 section 5: GTV, CTV, ITV, PTV)."""
    if structure.kind is not StructureKind.TARGET:
        return INTERPRETED_TYPES[structure.kind]
    prefix = structure.tg263[:3].upper()
    return prefix if prefix in ("GTV", "CTV", "PTV") else "TREATED_VOLUME"
