"""`couchside adapt` on a small patient: a reference with its plan, and a cone-beam CT of today with the match that a
therapist made at the machine. (A CT of today: tests/session/test_anatomy.py.)"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.case import read_image, read_structures
from appliance.contracts import RECORD_FILES, Image
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import RegisteredImage, spatial_registration_dataset
from engines.grid import Grid
from engines.overlap import dice
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
from ..session.small_case import GRID, SHIFT_MM, write_small_pair
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
    """reference/ with RP.dcm and RD.dcm; today/ a CT that nobody has drawn on, with the match, in the reference's
    frame of reference; cone-beam/ the same seen by the imager of a treatment machine."""
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
    on_every_slice(_cone_beam)(copied(today, small.folder / "cone-beam"))
    return small.folder


LARGER = Grid((-97.5, -97.5, -57.5), GRID.spacing_mm, (24, 40, 40))
"""What the case goes on to beyond today's slices."""

FIELD_MM = 82.0
"""Radius of the field of view: the body, which reaches 89 mm from the middle on the uppermost slice, is cut there."""


def _cone_beam(dataset: Dataset) -> None:
    """In values of its own, 30 of them darker in the middle, with noise and nothing beyond a circle."""
    put(Manufacturer="ELEKTA", ManufacturerModelName="XVI", RescaleType="US")(dataset)
    x_mm, y_mm, _ = GRID.axes_mm()
    away_mm = np.hypot(x_mm[None, :], y_mm[:, None])
    hu = dataset.pixel_array.astype(float)
    seen = 0.9 * hu + 40 - np.where(hu > -900, 30 * (1 - away_mm / 100), 0)
    seen += np.random.default_rng(int(dataset.InstanceNumber)).normal(0, 5, hu.shape)
    dataset.PixelData = np.rint(np.where(away_mm <= FIELD_MM, seen, -1500)).astype(np.int16).tobytes()


def adapt(run: Run, pair: Path, out: Path, today: str | Path = "cone-beam") -> Ran:
    given = ("--goals", pair / "goals.toml", "--config", pair / "quick.toml", "--json")
    return run("adapt", pair / "reference", pair / today, "--out", out, *given)


def middle_mm(structures: Dataset, name: str) -> np.ndarray:
    contours = roi(structures, name)[1].ContourSequence
    return np.concatenate([np.reshape(np.asarray(one.ContourData, float), (-1, 3)) for one in contours]).mean(axis=0)


def true_masks() -> dict[str, np.ndarray]:
    """What the structures of `small_case` are on the day."""
    x, y, z = (
        axis.reshape(shape) - off
        for axis, shape, off in zip(LARGER.axes_mm(), ((1, 1, -1), (1, -1, 1), (-1, 1, 1)), SHIFT_MM, strict=True)
    )
    return {
        "PTV": (np.hypot(x, y + 10) <= 20) & (np.abs(z) < 10),
        "Core": (np.hypot(x, y - 25) <= 10) & (np.abs(z) < 15),
    }


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
    truth = true_masks()
    series = read_image(slices(pair / "today"))
    seen = replace(series, image=Image(LARGER, np.zeros(LARGER.shape, np.int16)))
    found = read_structures(out / "RS.dcm", seen)
    for structure in found.structures:
        if (name := structure.name) in truth:
            off_mm = np.abs(middle_mm(structures, name) - middle_mm(reference, name) - SHIFT_MM)
            assert off_mm.max() < 2.5, (name, off_mm)  # contours lie on slices of 5 mm
            assert dice(structure.voxels.mask(LARGER.shape), truth.pop(name)) > 0.9, name
    assert not truth
    anatomy = document["anatomy"]
    shift = anatomy["table_shift"]
    assert [shift[f"{name}_mm"] for name in ("lateral", "longitudinal", "vertical")] == pytest.approx([-5] * 3, abs=1.5)
    said = {one["id"]: one["evidence"] for one in anatomy["findings"]}
    assert said["day.registration"].startswith("The search began at the one that came, and ended ")
    assert "day.registration-left" not in said
    assert said["day.modality"] == "It is an image of a treatment machine: its device is described by 'xvi'"
    assert said["day.density"] == "Dose is computed on: reference CT deformed to today"
    assert said["day.hounsfield"].startswith("Soft tissue has its peak at ")
    assert "cm³ of the body lie beside its field of view" in said["day.truncated"]
    # Of water and air alone nothing can be calibrated, and nothing need be.
    assert said["day.uncalibrated"].startswith("It cannot be calibrated to the reference CT: too few tissues")
    page = (out / "report.html").read_text("utf-8")
    assert said["day.registration"].split(" (")[0] in page
    assert "Dose is computed on: reference CT deformed to today." in page
    notes = " ".join((*document["session"]["notes"], *document["scorecard"]["notes"]))
    assert "Dose is computed on reference CT deformed to today (cone-beam CT of the day)" in notes
    assert "Nobody has confirmed today's contours" in notes
    assert "the received plan's apertures, moved with the target" in notes


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
