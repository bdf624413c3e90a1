"""The written studies, read back by the parts that receive cases."""

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from appliance.builtin import CASES, write_study
from appliance.builtin.stamp import Stamp
from appliance.builtin.study import NOISE_HU
from appliance.case.image import read_image
from appliance.case.structure_set import read_structures
from appliance.errors import RefusedInput
from appliance.inbound import assess, read_folder

PAIRS = [(name, day) for name in CASES for day in ("reference", "today")]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    seeds = {("head-neck", "today"): "test"}
    return {
        (name, day): write_study(name, folder / f"{name}-{day}", day=day, uid_seed=seeds.get((name, day)))
        for name, day in PAIRS
    }


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_study_is_accepted_and_reads_back(studies, pair):
    study = studies[pair]
    completeness = assess(read_folder(study.files[0].parent))
    assert completeness.complete, completeness.missing
    assert len(completeness.chosen) == len(study.files)
    series = read_image([image.path for image in study.images])
    assert series.image.grid.same_as(study.grid)
    reading = read_structures(study.structure_set.path, series)
    assert reading.notes == ()
    assert [structure.tg263 for structure in reading.structures] == list(study.case.solids())
    external = reading.structures[0].voxels.dense(study.grid.shape)
    hu = series.image.hu
    inside, outside = hu[external == 1], hu[external == 0]
    assert abs(inside.mean()) < 0.1
    assert inside.std() == pytest.approx(NOISE_HU, rel=0.02)
    assert np.all(outside == -1000)
    for axis in range(3):
        reached = np.flatnonzero(external.max(axis=tuple(other for other in range(3) if other != axis)))
        assert reached[0] >= 2
        assert reached[-1] < study.grid.shape[axis] - 2


@pytest.mark.parametrize("name", list(CASES))
def test_the_days_share_the_patient_and_nothing_else(studies, name):
    reference, today = studies[name, "reference"], studies[name, "today"]
    first, second = (pydicom.dcmread(study.structure_set.path) for study in (reference, today))
    assert first.PatientID == second.PatientID == CASES[name].patient_id
    assert first.PatientName == second.PatientName
    assert second.StudyDate > first.StudyDate
    for key in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        assert first[key].value != second[key].value
    assert not {i.sop_instance_uid for i in reference.images} & {i.sop_instance_uid for i in today.images}
    assert ("pproximate" in first.StructureSetDescription) == CASES[name].approximate
    assert CASES[name].today in second.StructureSetDescription
    assert np.linalg.norm(np.subtract(reference.isocentre_mm, today.isocentre_mm)) > 1


@pytest.mark.parametrize("name", list(CASES))
def test_the_truth_says_where_each_voxel_came_from(studies, name):
    today = studies[name, "today"]
    assert studies[name, "reference"].truth is None
    assert today.truth.parent == today.files[0].parent.parent  # beside the study, which holds DICOM only
    with np.load(today.truth) as truth:
        field, rigid = truth["displacement_mm"], truth["rigid"]
        assert tuple(truth["origin_mm"]) == today.grid.origin_mm
        assert tuple(truth["spacing_mm"]) == today.grid.spacing_mm
    assert field.shape == (*today.grid.shape, 3)
    words = json.loads(today.truth.with_suffix(".json").read_text())
    assert rigid[:3, 3].tolist() == words["shift_mm"]
    x_mm, y_mm, z_mm = today.grid.axes_mm()
    point = np.array([x_mm[40], y_mm[30], z_mm[60]])
    expected = np.array(words["shift_mm"])
    for bump in words["bumps"]:
        away2 = np.sum((point - bump["centre_mm"]) ** 2)
        expected = expected + np.array(bump["amplitude_mm"]) * np.exp(-away2 / (2 * bump["sigma_mm"] ** 2))
    assert np.allclose(field[60, 30, 40], expected, atol=1e-4)


def test_a_seed_makes_the_same_bytes(studies, tmp_path):
    first = studies["head-neck", "today"]
    again = write_study("head-neck", tmp_path / "a", day="today", uid_seed="test")
    assert [image.sha256 for image in again.images] == [image.sha256 for image in first.images]
    assert again.structure_set.sha256 == first.structure_set.sha256


def test_uids_are_fresh_without_a_seed_and_told_apart_with_one():
    fresh = {Stamp("case/today").uid("study") for _ in range(3)}
    seeded = {
        Stamp(scope, seed).uid(role)
        for scope in ("case/today", "case/reference")
        for seed in ("a", "b")
        for role in ("study", "ct/1", "ct/2")
    }
    assert (len(fresh), len(seeded)) == (3, 12)
    assert all(UID(uid).is_valid for uid in fresh | seeded)


def test_an_unknown_case_and_a_used_folder_are_refused(tmp_path):
    with pytest.raises(RefusedInput, match="c-shape, prostate"):
        write_study("lung", tmp_path / "new", day="today")
    (tmp_path / "old.dcm").write_bytes(b"")
    with pytest.raises(RefusedInput, match="not an empty folder"):
        write_study("c-shape", tmp_path, day="today")
    assert [path.name for path in tmp_path.iterdir()] == ["old.dcm"]


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_dicom3tools_finds_no_error(studies, pair):
    study = studies[pair]
    for path in (study.files[0], study.structure_set.path):
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
