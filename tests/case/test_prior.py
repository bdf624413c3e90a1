"""An earlier course read from its files, and what stands against summing it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SpatialRegistrationStorage

from appliance.builtin import write_study
from appliance.case import assemble, read_prior, read_registration
from appliance.contracts import Case
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import new_dataset, save_durable
from appliance.dicomio.values import ds_list, new_uid
from appliance.errors import IncompleteCase, InconsistentCase, RefusedObject
from appliance.inbound import assess, read_folder
from engines.registration import RigidTransform

MOTION = RigidTransform.of((5.0, -3.0, 8.0), (0.0, 0.0, 10.0)).matrix


def registration(identity, common: str, matrices: dict[str, np.ndarray], kind: str = "RIGID") -> Dataset:
    dataset = new_dataset(SpatialRegistrationStorage, identity, modality="REG", series_instance_uid=new_uid())
    dataset.FrameOfReferenceUID = common
    dataset.RegistrationSequence = []
    for frame, matrix in matrices.items():
        step, chain, item = Dataset(), Dataset(), Dataset()
        step.FrameOfReferenceTransformationMatrixType = kind
        step.FrameOfReferenceTransformationMatrix = ds_list(matrix.reshape(-1).tolist())
        chain.MatrixSequence = [step]
        item.FrameOfReferenceUID = frame
        item.MatrixRegistrationSequence = [chain]
        dataset.RegistrationSequence.append(item)
    return dataset


@pytest.fixture(scope="module")
def today(tmp_path_factory) -> Case:
    folder = tmp_path_factory.mktemp("today") / "s"
    write_study("prostate", folder, day="today", uid_seed="t")
    return assemble(assess(read_folder(folder)).chosen)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """(files, study) of the reference day with a dose of 40 Gy everywhere; nobody changes them."""
    folder = tmp_path_factory.mktemp("earlier") / "s"
    study = write_study("prostate", folder, day="reference", uid_seed="t")
    dose = save_durable(dose_of(study), folder / "RD.dcm")
    return [*study.files, dose.path], study


def dose_of(study, frame: str = "") -> Dataset:
    return dose_dataset(
        study.grid,
        np.full(study.grid.shape, 40.0, np.float32),
        identity=study.identity,
        frame_of_reference_uid=frame or study.frame_of_reference_uid,
        plan=None,
        structure_set=study.structure_set,
    )


def save(dataset: Dataset, path: Path) -> Path:
    return save_durable(dataset, path).path


def test_an_earlier_course_is_read_with_its_dose_on_its_own_grid(earlier, today, tmp_path):
    files, study = earlier
    note = tmp_path / "letter.txt"
    note.write_text("no DICOM")
    prior = read_prior([note, *reversed(files)], today, fractions=20, days_since=400)
    assert prior.fractions == 20 and prior.days_since == 400 and prior.to_prior is None
    assert prior.case.frame_of_reference_uid == study.frame_of_reference_uid != today.frame_of_reference_uid
    assert prior.case.reference_dose_gy.shape == study.grid.shape
    assert float(prior.case.reference_dose_gy.max()) == pytest.approx(40, rel=1e-4)
    assert {item.tg263 for item in prior.case.structures} == {item.tg263 for item in today.structures}
    assert any("no DICOM object" in text for text in prior.case.notes)


def test_the_time_between_is_estimated_short_and_said(earlier, today):
    # The built-in days are two weeks apart: less than a course and its planning take.
    prior = read_prior(earlier[0], today, fractions=20)
    assert prior.days_since == 0
    assert any("was estimated" in text for text in prior.case.notes)


def test_without_a_plan_the_fractions_are_not_known(earlier, today):
    assert read_prior(earlier[0], today).fractions == 0


@pytest.mark.parametrize(("left_out", "match"), [("CT", "no CT"), ("RS", "structure set"), ("RD", "RTDOSE")])
def test_what_is_missing_is_named(earlier, today, left_out, match):
    files = [path for path in earlier[0] if not path.name.startswith(left_out)]
    with pytest.raises(IncompleteCase, match=match):
        read_prior(files, today, fractions=20)


def test_two_doses_and_a_dose_of_another_image_are_refused(earlier, today, tmp_path):
    files, study = earlier
    second = save(dose_of(study), tmp_path / "second.dcm")
    with pytest.raises(InconsistentCase, match="2 objects"):
        read_prior([*files, second], today, fractions=20)
    foreign = save(dose_of(study, "1.2.3"), tmp_path / "foreign.dcm")
    with pytest.raises(InconsistentCase, match="another frame of reference"):
        read_prior([*files[:-1], foreign], today, fractions=20)


def test_another_person_is_refused(earlier, today):
    other = replace(today, identity=replace(today.identity, patient_id="ANOTHER"))
    with pytest.raises(InconsistentCase, match="patient"):
        read_prior(earlier[0], other, fractions=20)


def test_a_registration_object_is_taken_in_either_direction(earlier, today, tmp_path):
    files, study = earlier
    here, there = today.frame_of_reference_uid, study.frame_of_reference_uid
    forward = save(registration(study.identity, there, {here: MOTION, there: np.eye(4)}), tmp_path / "a.dcm")
    assert read_prior([*files, forward], today, fractions=20).to_prior == pytest.approx(MOTION, abs=1e-6)
    backward = save(registration(study.identity, here, {there: np.linalg.inv(MOTION)}), tmp_path / "b.dcm")
    assert read_registration(backward, here, there) == pytest.approx(MOTION, abs=1e-6)
    assert read_registration(backward, "1.2.3", there) is None
    with pytest.raises(InconsistentCase, match="2 registration objects"):
        read_prior([*files, forward, backward], today, fractions=20)


@pytest.mark.parametrize(
    ("matrix", "kind", "match"),
    [
        (MOTION, "AFFINE", "AFFINE"),
        (np.diag([-1.0, 1, 1, 1]), "RIGID", "called RIGID and is not"),
        (np.diag([2.0, 1, 1, 1]), "RIGID", "called RIGID and is not"),
    ],
)
def test_a_registration_that_is_not_rigid_is_refused(earlier, today, tmp_path, matrix, kind, match):
    _, study = earlier
    path = save(registration(study.identity, "1.2.3", {"1.2.4": matrix}, kind), tmp_path / "r.dcm")
    with pytest.raises(RefusedObject, match=match):
        read_registration(path, "1.2.4", "1.2.3")


def test_a_chain_of_matrices_is_refused(earlier, tmp_path):
    dataset = registration(earlier[1].identity, "1.2.3", {"1.2.4": MOTION})
    chain = dataset.RegistrationSequence[0].MatrixRegistrationSequence[0]
    chain.MatrixSequence.append(chain.MatrixSequence[0])
    with pytest.raises(RefusedObject, match="exactly one matrix"):
        read_registration(save(dataset, tmp_path / "r.dcm"), "1.2.4", "1.2.3")
