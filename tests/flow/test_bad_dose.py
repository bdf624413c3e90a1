"""Plans and CTs that `couchside dose` cannot use: one sentence, the documented code, and an earlier file left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from ..cli.conftest import Ran
from .bad_study import CASE, OBJECT, WAITS, cut, edited, on, put, refused, removed, slices

Run = Callable[..., Ran]


def _planned(**values: object) -> Callable[[Path], None]:
    """Changes the plan's beam, or of the first control point what is found there."""

    def change(dataset: Dataset) -> None:
        beam = dataset.BeamSequence[0]
        for keyword, value in values.items():
            setattr(beam.ControlPointSequence[0] if keyword in beam.ControlPointSequence[0] else beam, keyword, value)

    return on("RP.dcm", change)


def _arc(dataset: Dataset) -> None:
    beam = dataset.BeamSequence[0]
    beam.BeamType, beam.ControlPointSequence[0].GantryRotationDirection = "DYNAMIC", "CW"
    beam.ControlPointSequence[0].GantryAngle, beam.ControlPointSequence[1].GantryAngle = 150, 210


def _leaf(position_mm: float) -> Callable[[Dataset], None]:
    """The first leaf of bank A at the first control point."""

    def change(dataset: Dataset) -> None:
        device = dataset.BeamSequence[0].ControlPointSequence[0].BeamLimitingDevicePositionSequence[2]
        device.LeafJawPositions = [position_mm, *list(device.LeafJawPositions)[1:]]

    return change


def _no_leaves(dataset: Dataset, keep: tuple[str, ...] = ("X", "Y", "ASYMX", "ASYMY")) -> None:
    beam = dataset.BeamSequence[0]
    for holder in (beam, *beam.ControlPointSequence):
        for keyword in ("BeamLimitingDeviceSequence", "BeamLimitingDevicePositionSequence"):
            if keyword in holder:
                devices = [item for item in holder[keyword].value if item.RTBeamLimitingDeviceType in keep]
                setattr(holder, keyword, devices)


def _flattening_free(dataset: Dataset) -> None:
    mode = Dataset()
    mode.FluenceMode, mode.FluenceModeID = "NON_STANDARD", "FFF"
    dataset.BeamSequence[0].PrimaryFluenceModeSequence = [mode]


def _without_mu(dataset: Dataset) -> None:
    del dataset.FractionGroupSequence[0].ReferencedBeamSequence[0].BeamMeterset


UNSUPPORTED, LIMIT = "planning.unsupported", "planning.machine_limit"
PLANS = {
    "plan cut off": (cut("RP.dcm"), 4, OBJECT, ("RTPLAN", "cut off")),
    "no plan there": (removed("RP.dcm"), 4, OBJECT, ("RTPLAN", "No such file")),
    "arc beyond 180 degrees": (on("RP.dcm", _arc), 5, LIMIT, ("beam 1, control point 1", "mechanical range")),
    "leaf beyond the bank": (on("RP.dcm", _leaf(-260.0)), 5, LIMIT, ("beam 1, control point 0", "leaf is outside")),
    "a leaf that is no number": (on("RP.dcm", _leaf(float("nan"))), 4, OBJECT, ("control point 0", "numbers")),
    "an angle that is no number": (_planned(GantryAngle=float("nan")), 4, OBJECT, ("control point 0", "GantryAngle")),
    "a meterset that is no number": (
        on("RP.dcm", lambda d: put(CumulativeMetersetWeight=float("nan"))(d.BeamSequence[0].ControlPointSequence[1])),
        4, OBJECT, ("beam 1", "control point 1", "CumulativeMetersetWeight"),
    ),
    "zero monitor units": (
        on("RP.dcm", lambda d: put(BeamMeterset=0)(d.FractionGroupSequence[0].ReferencedBeamSequence[0])),
        5, UNSUPPORTED, ("beam 1", "no monitor units"),
    ),
    "field beyond the last slice": (
        _planned(IsocenterPosition=[0, -10, 25]), 4, CASE, ("beam 1, control point 0", "cuts the body off"),
    ),
    "beam through a cut body": (
        _planned(GantryAngle=60, PatientSupportAngle=60), 4, CASE, ("beam 1, control point 0", "cuts the body off"),
    ),
    "electrons": (_planned(RadiationType="ELECTRON"), 5, UNSUPPORTED, ("beam 1", "no photon beam (ELECTRON)")),
    "neither leaves nor jaws": (on("RP.dcm", lambda d: _no_leaves(d, ())), 5, UNSUPPORTED, ("beam 1", "multileaf")),
    "wedge": (_planned(NumberOfWedges=1), 5, UNSUPPORTED, ("beam 1", "a wedge")),
    "18 MV": (_planned(NominalBeamEnergy=18), 5, UNSUPPORTED, ("beam 1 is 18 MV", "choose the beam model")),
    "flattening-filter free": (on("RP.dcm", _flattening_free), 5, UNSUPPORTED, ("FFF", "choose the beam model")),
    "another machine": (_planned(SourceAxisDistance=800), 5, UNSUPPORTED, ("800 mm", "1000 mm", "this machine")),
    "no monitor units": (on("RP.dcm", _without_mu), 5, UNSUPPORTED, ("beam 1", "no monitor units")),
    "CT of another patient": (on("RP.dcm", put(PatientID="OTHER")), 4, CASE, ("differ in patient ID",)),
    "lies another way": (
        on("RP.dcm", lambda d: setattr(d.PatientSetupSequence[0], "PatientPosition", "FFS")),
        4,
        CASE,
        ("The plan", "FFS", "HFS"),
    ),
    "beams beside the patient": (_planned(IsocenterPosition=[3000, 0, 0]), 4, CASE, ("beam 1", "isocentre")),
    "no CT": (removed("CT*"), 4, WAITS, ("no CT in the folder", "--ct")),
    "missing slice": (removed("CT"), 4, CASE, ("The CT series", "planes are missing")),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_dose_of_a_bad_plan_or_ct(run: Run, study: Path, tmp_path: Path, name: str) -> None:
    spoil, code, key, words = PLANS[name]
    spoil(study)
    out = tmp_path / "dose.dcm"
    out.write_bytes(b"of an earlier run")
    refused(run("dose", study / "RP.dcm", "--ct", study, "--out", out, "--json"), code, key, *words)
    assert out.read_bytes() == b"of an earlier run"
    assert [path.name for path in tmp_path.glob("dose*")] == ["dose.dcm"]


def test_dose_of_a_plan_with_jaws_alone_and_in_another_frame_is_calculated_and_says_so(
    run: Run, study: Path, tmp_path: Path
) -> None:
    with edited(study / "RP.dcm") as dataset:
        _no_leaves(dataset)
        dataset.FrameOfReferenceUID = "1.2.3.4"
    ran = run("dose", study / "RP.dcm", "--ct", study, "--out", tmp_path / "dose.dcm", "--json")
    assert ran.code == 0, ran.err
    [note] = json.loads(ran.out)["notes"]
    assert "another frame of reference" in note


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("a CT", ("no RT Plan of photons",)),
        ("a text", ("not a DICOM file",)),
        ("a folder", ("Is a directory",)),
    ],
)
def test_dose_of_what_is_no_plan(run: Run, study: Path, tmp_path: Path, where: str, words: tuple[str, ...]) -> None:
    (study / "text").write_text("no plan")
    path = {"a CT": slices(study)[0], "a text": study / "text", "a folder": study}[where]
    refused(run("dose", path, "--ct", study, "--out", tmp_path / "x.dcm", "--json"), 4, OBJECT, "RTPLAN", *words)
