"""`couchside adapt` on a small patient: a reference with its plan, and a CT of today with the match that a therapist
made at the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.case import read_image
from appliance.case.today.modality import Imaging
from appliance.case.today.reading import read_reference, read_today
from appliance.contracts import RECORD_FILES
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import RegisteredImage, spatial_registration_dataset
from appliance.session_headless import read_pair
from engines.registration import RigidTransform

from ..flow.bad_study import (
    CASE,
    COARSE,
    OBJECT,
    WAITS,
    Spoiler,
    copied,
    on_every_slice,
    put,
    refused,
    removed,
    roi,
    slices,
    write_plan,
)
from ..session.small_case import SHIFT_MM, write_small_pair
from .conftest import Ran

Run = Callable[..., Ran]

ONE_ALGORITHM = '[planning]\nalgorithm = "pencil_beam"\nbeam_model = "generic_6mv"\nbudget_s = 0.01\n'
QUICK = COARSE.replace("[planning]\nbeams = 3\n", ONE_ALGORITHM)
QUICK += "[prediction]\nenabled = false\n"
"""Without the second calculation, which is tried in `test_replan_and_dose`."""

MATCH_MM = (-SHIFT_MM[0] + 2.0, -SHIFT_MM[1] - 1.0, -SHIFT_MM[2])
"""From today to the reference as the therapist had it, 2.2 mm from the truth."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """reference/ with RP.dcm and RD.dcm; today/ an image that nobody has drawn on, with the match, in the reference's
    frame of reference."""
    small = write_small_pair(tmp_path_factory.mktemp("pair") / "small")
    reference, today = small.folder / "reference", small.folder / "today"
    write_plan(reference, small.goals)
    fixed, moving = (
        RegisteredImage(series.identity, series.frame_of_reference_uid, series.sources)
        for series in (read_image(slices(reference)), read_image(slices(today)))
    )
    match = RigidTransform.of(MATCH_MM).inverse
    save_durable(spatial_registration_dataset(match, fixed=fixed, moving=moving), today / "MATCH.dcm")
    (small.folder / "quick.toml").write_text(QUICK, "utf-8")
    return small.folder


def _cone_beam(dataset: Dataset) -> None:
    """Not in Hounsfield units, with noise, without which air would pass for the filling outside a field of view."""
    put(Manufacturer="ELEKTA", ManufacturerModelName="XVI", RescaleType="US")(dataset)
    noise = np.random.default_rng(int(dataset.InstanceNumber)).normal(0, 10, dataset.pixel_array.shape)
    dataset.PixelData = (dataset.pixel_array + noise).astype(np.int16).tobytes()


def adapt(run: Run, pair: Path, out: Path, today: Path | None = None) -> Ran:
    given = ("--goals", pair / "goals.toml", "--config", pair / "quick.toml", "--json")
    return run("adapt", pair / "reference", today or pair / "today", "--out", out, *given)


def middle_mm(structures: Dataset, name: str) -> np.ndarray:
    contours = roi(structures, name)[1].ContourSequence
    return np.concatenate([np.reshape(np.asarray(one.ContourData, float), (-1, 3)) for one in contours]).mean(axis=0)


def test_todays_contours_plan_and_report_come_of_two_folders(run: Run, pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = adapt(run, pair, out)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert {path.name for path in out.iterdir()} == {
        "RP.dcm", "RD.dcm", "RS.dcm", "REG.dcm", "DEFORM.dcm", "anatomy.json", "contours.html",
        "scorecard.json", "scheduled-scorecard.json", "timeline.json", "story.json", "report.html", "goals.toml",
        *RECORD_FILES,
    }  # fmt: skip
    plan, structures, before = (
        pydicom.dcmread(path) for path in (out / "RP.dcm", out / "RS.dcm", pair / "reference" / "RP.dcm")
    )
    frame = pydicom.dcmread(slices(pair / "today")[0]).FrameOfReferenceUID
    assert (plan.ApprovalStatus, plan.FrameOfReferenceUID) == ("UNAPPROVED", frame)
    assert plan.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    reference = pydicom.dcmread(pair / "reference" / "RS.dcm")
    for name in ("PTV", "Core"):
        off_mm = np.abs(middle_mm(structures, name) - middle_mm(reference, name) - SHIFT_MM)
        assert off_mm.max() < 2.5, (name, off_mm)  # contours lie on slices of 5 mm
    anatomy = document["anatomy"]
    shift = anatomy["table_shift"]
    assert [shift[f"{name}_mm"] for name in ("lateral", "longitudinal", "vertical")] == pytest.approx([-5] * 3, abs=1.5)
    said = {one["id"]: one["evidence"] for one in anatomy["findings"]}
    assert said["day.registration"].startswith("The search began at the one that came, and ended ")
    assert "day.registration-left" not in said
    page = (out / "report.html").read_text("utf-8")
    assert said["day.registration"].split(" (")[0] in page
    notes = " ".join((*document["session"]["notes"], *document["scorecard"]["notes"]))
    assert "Nobody has confirmed today's contours" in notes
    assert "the received plan's apertures, moved with the target" in notes


def test_a_cone_beam_ct_that_is_not_in_hounsfield_units_is_taken_for_what_it_is(pair: Path, tmp_path: Path) -> None:
    """Not planned on: of water alone a cone-beam CT cannot be calibrated."""
    today = copied(pair / "today", tmp_path / "today")
    on_every_slice(_cone_beam)(today)
    found = read_pair(pair / "reference", today)
    before = read_reference(found.reference, found.chosen)
    day, image = read_today(found.chosen, before, ())
    assert (image.imaging, image.series.image.hu.min() < -1024) == (Imaging.CBCT, True)
    assert day.body.index.size == pytest.approx(before.body.index.size, rel=0.2)


def _of_another_patient(folder: Path) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "SOMEBODY-ELSE"
        dataset.save_as(path)


def _no_image(folder: Path) -> None:
    removed("CT*")(folder)


BAD = {
    "another patient": (_of_another_patient, CASE, ("differ in patient ID", "Check that they belong to one patient")),
    "a slice is missing": (removed("CT"), WAITS, ("1 slices of the image series are missing", "run the command again")),
    "no image": (_no_image, WAITS, ("there is no image of today",)),
    "a CT that is not in HU": (
        on_every_slice(put(RescaleType="US")),
        OBJECT,
        ("not Hounsfield units", "anatomy.cbct_names"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_todays_image_is_refused_in_a_sentence(run: Run, pair: Path, tmp_path: Path, name: str) -> None:
    spoil: Spoiler
    spoil, key, words = BAD[name]
    today = copied(pair / "today", tmp_path / "today")
    spoil(today)
    sentence = refused(adapt(run, pair, tmp_path / "out", today), 4, key, *words)
    assert "Small^Case" not in sentence and "SMALL-1" not in sentence
    assert not (tmp_path / "out").exists()
