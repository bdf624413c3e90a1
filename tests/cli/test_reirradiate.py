"""`couchside reirradiate` from folders of DICOM to its JSON, on two days of a built-in case."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest

from appliance.builtin import write_study
from appliance.case import read_dose
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable

PRIOR_GY, TODAY_GY = 40.0, 30.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    for day, gray in (("reference", PRIOR_GY), ("today", TODAY_GY)):
        study = write_study("head-neck", root / day, day=day, uid_seed="t")
        dataset = dose_dataset(
            study.grid,
            np.full(study.grid.shape, gray, np.float32),
            identity=study.identity,
            frame_of_reference_uid=study.frame_of_reference_uid,
            plan=None,
            structure_set=study.structure_set,
        )
        save_durable(dataset, root / day / "RD.dcm")
    return root


def test_two_days_of_one_patient_are_summed(folders, run, tmp_path):
    out, rtdose = tmp_path / "sum.json", tmp_path / "sum.dcm"
    options = ("--fractions", 15, "--prior-fractions", 20, "--days-since", 400, "--rtdose", rtdose)
    ran = run("reirradiate", folders / "reference", folders / "today", "--out", out, *options)
    assert ran.code == 0, ran.err
    assert "not for clinical use" in ran.out
    course = json.loads(out.read_bytes())["prior_course"]
    truth = np.load(folders / "today.truth.npz")["rigid"]
    found = np.asarray(course["to_prior"])
    # Today's neck is 4 mm thinner on both sides and flexed by 2 mm: the rigid part is found but for that.
    assert np.linalg.norm((found - truth)[:3, 3]) < 2.5
    assert course["registration"]["method"] == "rigid, from the images"
    assert course["registration"]["uncertainty_mm"] >= 2.0
    cord = next(item for item in course["results"] if item["structure"] == "SpinalCord")
    # 40 Gy in 20 and 30 Gy in 15 fractions are 70 Gy in fractions of 2 Gy
    assert cord["value"] == pytest.approx(PRIOR_GY + TODAY_GY, abs=0.05)
    assert not cord["met"] and cord["cumulative"] and cord["recovery"] == 0
    dataset = pydicom.dcmread(rtdose)
    assert dataset.DoseType == "EFFECTIVE" and "EQD2" in dataset.DoseComment
    dataset.DoseType = "PHYSICAL"
    dataset.save_as(tmp_path / "physical.dcm")
    assert float(read_dose(tmp_path / "physical.dcm")[1].max()) == pytest.approx(70, abs=0.05)


def test_what_is_not_known_and_what_is_not_there_is_said(folders, run, tmp_path):
    out = tmp_path / "sum.json"
    ran = run("reirradiate", folders / "reference", folders / "today", "--out", out, "--prior-fractions", 20)
    assert ran.code == 5 and "fractions of today's course is not known" in ran.err
    ran = run("reirradiate", folders / "nowhere", folders / "today", "--out", out)
    assert ran.code == 4 and not out.exists()
