"""Registration objects as bytes: what two toolkits say, whose frame is whose, and that what is written reads back."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.case import read_deformable, read_registration
from appliance.contracts import Identity, SourceObject
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import (
    RegisteredImage,
    deformable_registration_dataset,
    spatial_registration_dataset,
)
from appliance.dicomio.values import new_uid
from appliance.errors import ExportError
from appliance.inbound import read_folder
from engines.grid import Grid
from engines.registration import DisplacementField, RigidTransform
from tests.dicomio.test_validators import dumped, findings

GRID = Grid((-31.25, -24.5, -12.0), (4.0, 5.0, 3.0), (3, 4, 5))
MOTION = RigidTransform.of((5.0, -3.0, 8.0), (3.0, -2.0, 10.0), (10.0, 20.0, 30.0))


def field() -> DisplacementField:
    """No two vectors alike, none of them a short decimal number."""
    return DisplacementField(GRID, np.random.default_rng(5).normal(0, 7, (*GRID.shape, 3)).astype(np.float32))


@pytest.fixture
def fixed(identity: Identity, frame_uid: str, images: Sequence[SourceObject]) -> RegisteredImage:
    return RegisteredImage(identity, frame_uid, tuple(images))


@pytest.fixture
def moving(identity: Identity, images: Sequence[SourceObject]) -> RegisteredImage:
    """Of another study, as the reference of another day is."""
    other = tuple(replace(image, sop_instance_uid=new_uid(), series_instance_uid="2.25.77") for image in images)
    return RegisteredImage(replace(identity, study_instance_uid=new_uid()), new_uid(), other)


def test_a_rigid_motion_reads_back_in_both_directions(fixed: RegisteredImage, moving: RegisteredImage, tmp_path: Path):
    dataset = spatial_registration_dataset(MOTION, fixed=fixed, moving=moving, comment="rigid, from the images")
    path = save_durable(dataset, tmp_path / "REG.dcm").path
    there = read_registration(path, fixed.frame_of_reference_uid, moving.frame_of_reference_uid)
    back = read_registration(path, moving.frame_of_reference_uid, fixed.frame_of_reference_uid)
    assert there == pytest.approx(MOTION.matrix, abs=1e-6)
    assert back == pytest.approx(MOTION.inverse.matrix, abs=1e-6)


def test_a_rigid_object_takes_the_moving_image_to_its_own_frame(fixed: RegisteredImage, moving: RegisteredImage):
    dataset = spatial_registration_dataset(RigidTransform.of((0.0, 0.0, 9.0)), fixed=fixed, moving=moving)
    assert dataset.FrameOfReferenceUID == fixed.frame_of_reference_uid
    item = next(it for it in dataset.RegistrationSequence if it.FrameOfReferenceUID == moving.frame_of_reference_uid)
    matrix = item.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
    # x_moving = x_fixed + 9 mm, so a point of the moving image comes to the object's frame by -9 mm.
    assert [float(v) for v in matrix] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, -9, 0, 0, 0, 1]


def test_a_field_reads_back_bit_by_bit(fixed: RegisteredImage, moving: RegisteredImage, tmp_path: Path):
    path = save_durable(deformable_registration_dataset(field(), fixed=fixed, moving=moving), tmp_path / "D.dcm").path
    read = read_deformable(path, fixed.frame_of_reference_uid, moving.frame_of_reference_uid)
    assert read is not None and read.notes == ()
    assert read.field.grid == GRID
    assert np.array_equal(read.field.displacement_mm, field().displacement_mm)


def test_vectors_lie_in_the_file_x_fastest_as_little_endian_floats(fixed, moving, tmp_path: Path):
    path = save_durable(deformable_registration_dataset(field(), fixed=fixed, moving=moving), tmp_path / "D.dcm").path
    item = pydicom.dcmread(path).DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]
    assert list(item.GridDimensions) == [5, 4, 3] and list(item.GridResolution) == [4.0, 5.0, 3.0]
    assert len(item.VectorGridData) == 5 * 4 * 3 * 3 * 4
    x, y, z = 2, 3, 1
    at = 12 * (x + 5 * (y + 4 * z))
    assert struct.unpack("<3f", item.VectorGridData[at : at + 12]) == tuple(field().displacement_mm[z, y, x].tolist())


def test_both_studies_are_named_once_each(fixed: RegisteredImage, moving: RegisteredImage):
    dataset = deformable_registration_dataset(field(), fixed=fixed, moving=moving)
    [own] = dataset.ReferencedSeriesSequence
    assert len(own.ReferencedInstanceSequence) == len(fixed.images)
    [other] = dataset.StudiesContainingOtherReferencedInstancesSequence
    assert other.StudyInstanceUID == moving.identity.study_instance_uid
    assert other.ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.77"
    item = dataset.DeformableRegistrationSequence[0]
    assert item.SourceFrameOfReferenceUID == moving.frame_of_reference_uid
    assert len(item.ReferencedImageSequence) == len(moving.images)


def test_one_frame_and_two_patients_are_not_written(fixed: RegisteredImage, moving: RegisteredImage):
    with pytest.raises(ExportError, match="one frame of reference"):
        spatial_registration_dataset(MOTION, fixed=fixed, moving=fixed)
    other = replace(moving, identity=replace(moving.identity, patient_id="ANOTHER"))
    with pytest.raises(ExportError, match="two patients"):
        deformable_registration_dataset(field(), fixed=fixed, moving=other)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["rigid", "deformable"])
def test_two_toolkits_and_our_own_door_take_it(kind: str, fixed, moving, tmp_path: Path):
    dataset = (
        spatial_registration_dataset(MOTION, fixed=fixed, moving=moving, comment="rigid")
        if kind == "rigid"
        else deformable_registration_dataset(field(), fixed=fixed, moving=moving, comment="demons")
    )
    path = save_durable(dataset, tmp_path / "REG.dcm").path
    [received] = read_folder(tmp_path)
    assert received.modality == "REG" and received.frame_of_reference_uid == fixed.frame_of_reference_uid
    told = dumped(path)
    assert ("VectorGridData" in told) == (kind == "deformable")
    assert findings(path) == []
