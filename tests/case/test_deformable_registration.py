"""Deformable registration objects as others write them: turned grids, matrices, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage

from appliance.case import DeformableReading, read_deformable
from appliance.contracts import Identity
from appliance.dicomio.files import new_dataset, save_durable
from appliance.dicomio.values import ds_list, new_uid
from appliance.errors import RefusedObject
from engines.registration import RigidTransform

HERE, THERE = "1.2.3", "1.2.4"
COUNT, STEP, START = (4, 3, 2), (10.0, 20.0, 30.0), (-15.0, 5.0, 100.0)
PERSON = Identity("P-17", "Doe^Jane", "19500101", "F", new_uid())


def vectors() -> np.ndarray:
    """(z, y, x, 3), each its own."""
    return np.arange(72, dtype=np.float32).reshape(2, 3, 4, 3) / 7


def matrix(transform: RigidTransform, kind: str = "RIGID", scale: float = 1.0) -> Dataset:
    item = Dataset()
    item.FrameOfReferenceTransformationMatrix = ds_list((np.diag([scale, 1, 1, 1]) @ transform.matrix).ravel().tolist())
    item.FrameOfReferenceTransformationMatrixType = kind
    return item


def a_grid(data: np.ndarray | None = None, orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)) -> Dataset:
    item = Dataset()
    item.ImagePositionPatient = ds_list(START)
    item.ImageOrientationPatient = ds_list(orientation)
    item.GridDimensions, item.GridResolution = list(COUNT), list(STEP)
    item.VectorGridData = (vectors() if data is None else data).astype("<f4").tobytes()
    return item


def an_object(*grids: Dataset, before: Dataset | None = None, after: Dataset | None = None) -> Dataset:
    dataset = new_dataset(DeformableSpatialRegistrationStorage, PERSON, modality="REG", series_instance_uid=new_uid())
    dataset.FrameOfReferenceUID = HERE
    item = Dataset()
    item.SourceFrameOfReferenceUID = THERE
    item.DeformableRegistrationGridSequence = list(grids)
    if before is not None:
        item.PreDeformationMatrixRegistrationSequence = [before]
    if after is not None:
        item.PostDeformationMatrixRegistrationSequence = [after]
    dataset.DeformableRegistrationSequence = [item]
    return dataset


def read(dataset: Dataset, folder: Path, there: str = THERE) -> DeformableReading | None:
    return read_deformable(save_durable(dataset, folder / "D.dcm").path, HERE, there)


def rule_of(dataset: Dataset, folder: Path) -> str:
    with pytest.raises(RefusedObject) as refusal:
        read(dataset, folder)
    return str(refusal.value.fields["rule"])


def test_points_go_from_the_objects_frame_to_the_source(tmp_path: Path):
    data = np.zeros((2, 3, 4, 3), np.float32)
    data[1, 2, 3] = (1.5, -2.5, 4.0)
    reading = read(an_object(a_grid(data)), tmp_path)
    assert reading is not None
    # index x 3, y 2, z 1: (-15 + 30, 5 + 40, 100 + 30)
    assert reading.field.apply(np.array([15.0, 45.0, 130.0])) == pytest.approx([16.5, 42.5, 134.0])
    assert reading.field.apply(np.array([5.0, 45.0, 130.0])) == pytest.approx([5.0, 45.0, 130.0])


@pytest.mark.parametrize(
    ("orientation", "point"),
    [
        # Rows to the right, columns to the front: depth is their product, still to the head.
        ((-1, 0, 0, 0, -1, 0), (-15.0 - 30.0, 5.0 - 40.0, 100.0 + 30.0)),
        # Rows to the right only: depth runs to the feet.
        ((-1, 0, 0, 0, 1, 0), (-15.0 - 30.0, 5.0 + 40.0, 100.0 - 30.0)),
    ],
)
def test_a_turned_grid_is_turned_round_and_its_vectors_are_not(orientation, point, tmp_path: Path):
    data = np.zeros((2, 3, 4, 3), np.float32)
    data[1, 2, 3] = (1.5, -2.5, 4.0)
    reading = read(an_object(a_grid(data, orientation)), tmp_path)
    assert reading is not None
    moved = reading.field.apply(np.array(point))
    assert moved - np.array(point) == pytest.approx([1.5, -2.5, 4.0])


def test_matrices_before_and_after_are_applied_in_the_standards_order(tmp_path: Path):
    before = RigidTransform.of((1.0, 2.0, 3.0), (0.0, 0.0, 90.0))
    after = RigidTransform.of((-4.0, 0.0, 2.0), (90.0, 0.0, 0.0))
    reading = read(an_object(a_grid(), before=matrix(before), after=matrix(after)), tmp_path)
    assert reading is not None
    x, y, z = 2, 1, 1
    point = np.array([START[0] + x * STEP[0], START[1] + y * STEP[1], START[2] + z * STEP[2]])
    # By hand: a turn of +90 about z takes (5, 25, 130) to (-25, 5, 130), the shift to (-24, 7, 133).
    assert before.apply(point) == pytest.approx([-24.0, 7.0, 133.0])
    dx, dy, dz = vectors()[z, y, x].tolist()
    # +90 about x takes (a, b, c) to (a, -c, b); then (-4, 0, 2).
    expected = (-24.0 + dx - 4.0, -(133.0 + dz), 7.0 + dy + 2.0)
    assert reading.field.apply(point) == pytest.approx(expected, abs=1e-4)


def test_a_matrix_before_the_deformation_that_can_be_read_in_two_ways_is_told(tmp_path: Path):
    shift = matrix(RigidTransform.of((10.0, 0.0, 0.0)))
    reading = read(an_object(a_grid(), before=shift), tmp_path)
    # One voxel along x changes each component by 3/7 mm: 0.74 mm in all.
    assert reading is not None and "differ by up to 0.7 mm" in reading.notes[0]
    even = read(an_object(a_grid(np.full((2, 3, 4, 3), 2.0, np.float32)), before=shift), tmp_path)
    behind = read(an_object(a_grid(), after=shift), tmp_path)
    assert even is not None and behind is not None and even.notes == behind.notes == ()


def test_an_item_of_the_own_frame_beside_it_does_not_matter(tmp_path: Path):
    dataset = an_object(a_grid())
    own = Dataset()
    own.SourceFrameOfReferenceUID = HERE
    dataset.DeformableRegistrationSequence.insert(0, own)
    reading = read(dataset, tmp_path)
    assert reading is not None and np.array_equal(reading.field.displacement_mm, vectors())


def test_an_object_of_other_frames_says_nothing(tmp_path: Path):
    assert read(an_object(a_grid()), tmp_path, there="1.2.5") is None
    other = an_object(a_grid())
    other.FrameOfReferenceUID = "1.2.9"
    assert read(other, tmp_path) is None


def test_the_way_back_is_not_read_from_it(tmp_path: Path):
    path = save_durable(an_object(a_grid()), tmp_path / "D.dcm").path
    assert read_deformable(path, THERE, HERE) is None


def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path):
    undefined = vectors()
    undefined[1, 1, 1] = np.nan
    tilted = (1, 0, 0, 0, 0.9848, 0.1736)
    none = RigidTransform.of()
    assert rule_of(an_object(a_grid(undefined)), tmp_path) == "registration.undefined"
    assert rule_of(an_object(a_grid(None, tilted)), tmp_path) == "geometry.orientation"
    assert rule_of(an_object(a_grid(vectors()[:1])), tmp_path) == "registration.grid"
    assert rule_of(an_object(), tmp_path) == "registration.grid"
    assert rule_of(an_object(a_grid(), a_grid()), tmp_path) == "registration.several"
    assert rule_of(an_object(a_grid(), after=matrix(none, "RIGID_SCALE", 1.1)), tmp_path) == "registration.kind"
    assert rule_of(an_object(a_grid(), after=matrix(none, "RIGID", 1.1)), tmp_path) == "registration.kind"
    twice = an_object(a_grid())
    twice.DeformableRegistrationSequence.append(twice.DeformableRegistrationSequence[0])
    assert rule_of(twice, tmp_path) == "registration.several"
    rigid = an_object(a_grid())
    rigid.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.1"
    assert rule_of(rigid, tmp_path) == "registration.class"
