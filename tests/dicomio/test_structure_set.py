from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from appliance.contracts import DensityOverride, Identity, SourceObject, Structure
from appliance.dicomio.files import save_durable
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.errors import ExportError


@pytest.fixture
def written(
    structures: Sequence[Structure], identity: Identity, frame_uid: str, images: Sequence[SourceObject], tmp_path: Path
) -> Dataset:
    dataset = structure_set_dataset(
        structures,
        identity=identity,
        frame_of_reference_uid=frame_uid,
        images=images,
        label="Adapted structures of today",
        predecessor=replace(images[0], sop_class_uid="1.2.840.10008.5.1.4.1.1.481.3", sop_instance_uid="2.25.77"),
    )
    return dcmread(save_durable(dataset, tmp_path / "rs.dcm").path)


def test_an_assigned_density_is_written_where_there_is_one(
    structures: Sequence[Structure], identity: Identity, frame_uid: str, images: Sequence[SourceObject]
) -> None:
    hip = replace(structures[2], density=DensityOverride(relative_mass_density=4.54))
    dataset = structure_set_dataset(
        (structures[0], hip), identity=identity, frame_of_reference_uid=frame_uid, images=images, label="Metal"
    )
    body, metal = dataset.RTROIObservationsSequence
    assert "ROIPhysicalPropertiesSequence" not in body
    (item,) = metal.ROIPhysicalPropertiesSequence
    assert (item.ROIPhysicalProperty, float(item.ROIPhysicalPropertyValue)) == ("REL_MASS_DENSITY", 4.54)


def test_contours_read_back_to_the_points_given(written: Dataset, structures: Sequence[Structure]) -> None:
    for structure, item in zip(structures, written.ROIContourSequence, strict=True):
        assert item.ReferencedROINumber == structure.number
        assert tuple(item.ROIDisplayColor) == structure.colour_rgb
        read = item.get("ContourSequence", [])
        assert len(read) == len(structure.contours)
        for contour, points in zip(structure.contours, read, strict=True):
            assert points.ContourGeometricType == "CLOSED_PLANAR"
            xyz = np.array(points.ContourData, float).reshape(-1, 3)
            np.testing.assert_allclose(xyz[:, :2], contour.points_mm, atol=1e-4)
            np.testing.assert_allclose(xyz[:, 2], contour.z_mm, atol=1e-4)


def test_each_contour_names_the_slice_it_lies_on(written: Dataset, images: Sequence[SourceObject]) -> None:
    z_of = {source.sop_instance_uid: float(dcmread(source.path).ImagePositionPatient[2]) for source in images}
    on_slice = between = 0
    for item in written.ROIContourSequence:
        for contour in item.get("ContourSequence", []):
            if "ContourImageSequence" in contour:
                assert z_of[contour.ContourImageSequence[0].ReferencedSOPInstanceUID] == float(contour.ContourData[2])
                on_slice += 1
            else:
                assert float(contour.ContourData[2]) == 1.5
                between += 1
    assert (on_slice, between) == (9, 1)


def test_references_names_and_types(
    written: Dataset, images: Sequence[SourceObject], identity: Identity, frame_uid: str
) -> None:
    frame = written.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert frame.FrameOfReferenceUID == frame_uid
    assert frame.RTReferencedStudySequence[0].ReferencedSOPInstanceUID == identity.study_instance_uid
    assert series.SeriesInstanceUID == images[0].series_instance_uid
    assert [i.ReferencedSOPInstanceUID for i in series.ContourImageSequence] == [i.sop_instance_uid for i in images]
    assert written.PredecessorStructureSetSequence[0].ReferencedSOPInstanceUID == "2.25.77"
    assert written.StructureSetLabel == "Adapted structur"
    assert [item.ROIName for item in written.StructureSetROISequence] == ["BODY", "PTV70", "cord", "Couch"]
    observed = [(o.ROIObservationLabel, o.RTROIInterpretedType) for o in written.RTROIObservationsSequence]
    assert observed == [
        ("External", "EXTERNAL"),
        ("PTV_7000", "PTV"),
        ("SpinalCord", "ORGAN"),
        ("CouchSurface", "SUPPORT"),
    ]
    assert str(written.PatientName) == "Müller^Test"


def test_repeated_roi_numbers_are_refused(
    structures: Sequence[Structure], identity: Identity, frame_uid: str, images: Sequence[SourceObject]
) -> None:
    with pytest.raises(ExportError, match="same ROI number"):
        structure_set_dataset(
            (structures[0], replace(structures[1], number=structures[0].number)),
            identity=identity,
            frame_of_reference_uid=frame_uid,
            images=images,
            label="x",
        )


@pytest.mark.parametrize(("name", "character_set"), [("Hüfte", "ISO_IR 100"), ("肝 Ω", "ISO_IR 192")])
def test_names_in_any_script_read_back(
    name: str,
    character_set: str,
    structures: Sequence[Structure],
    identity: Identity,
    frame_uid: str,
    images: Sequence[SourceObject],
    tmp_path: Path,
) -> None:
    dataset = structure_set_dataset(
        (replace(structures[0], name=name),),
        identity=identity,
        frame_of_reference_uid=frame_uid,
        images=images,
        label="Today",
    )
    read = dcmread(save_durable(dataset, tmp_path / "rs.dcm").path)
    assert read.SpecificCharacterSet == character_set
    assert read.StructureSetROISequence[0].ROIName == name
