"""Bad input as a person gives it to the command line: one sentence, the documented code, nothing half-written.

The rules themselves are tested beside their code; here each is met through the entry point, in a copy of one small
study in which one thing is wrong. `couchside dose` is in test_bad_dose.py, the network's half in
test_bad_objects.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, RTImageStorage, generate_uid

from appliance.audit import AuditLog

from ..cli.conftest import Ran
from ..session.small_case import SmallCase
from .bad_study import (
    CASE,
    OBJECT,
    WAITS,
    another_ct,
    contents,
    cut,
    edited,
    emptied,
    moved,
    on,
    on_every_slice,
    put,
    refused,
    removed,
    roi,
    slices,
    without,
)

Run = Callable[..., Ran]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of that size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, check=False
        )
        if done.returncode != 0:
            pytest.skip("a file system can only be mounted by root")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def _of_class(uid: str, modality: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid
        dataset.Modality = modality

    return change


def _shifted(axis: int, by_mm: Callable[[float], float]) -> Callable[[Dataset], None]:
    """Moves a slice by what its z says."""

    def change(dataset: Dataset) -> None:
        position = [float(value) for value in dataset.ImagePositionPatient]
        position[axis] += by_mm(position[2])
        dataset.ImagePositionPatient = position

    return change


def _slice_again(**changed: object) -> Callable[[Path], None]:
    """A second file of one slice, with what is named changed."""

    def spoil(folder: Path) -> None:
        path = folder / "zz.dcm"
        shutil.copy(slices(folder)[5], path)
        with edited(path) as dataset:
            put(**changed)(dataset)
            if "SOPInstanceUID" in changed:
                dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    return spoil


def _open_lines(dataset: Dataset) -> None:
    for contour in roi(dataset, "PTV")[1].ContourSequence:
        contour.ContourGeometricType = "OPEN_PLANAR"


def _two_bodies(dataset: Dataset) -> None:
    for observation in dataset.RTROIObservationsSequence[:2]:
        observation.RTROIInterpretedType = "EXTERNAL"


def _another_frame(dataset: Dataset) -> None:
    for item in dataset.StructureSetROISequence:
        item.ReferencedFrameOfReferenceUID = "1.2.3.4"


def _header_of_another(folder: Path) -> None:
    """The file header announces another object than the dataset is."""
    path = slices(folder)[5]
    data, uid = path.read_bytes(), pydicom.dcmread(path).SOPInstanceUID.encode()
    at = data.index(uid)
    path.write_bytes(data[:at] + uid[:-1] + (b"7" if uid[-1:] != b"7" else b"8") + data[at + len(uid) :])


STUDIES = {
    "CT cut off": (cut("CT"), OBJECT, ("CT_0006.dcm", "not a whole DICOM dataset")),
    "CT cut off in its header": (cut("CT", 0.02), WAITS, ("1 of the 12 slices", "CT_0006.dcm: no DICOM object")),
    "structure set cut off": (cut("RS.dcm"), OBJECT, ("RS.dcm", "not a whole DICOM dataset")),
    "plan cut off": (cut("RP.dcm"), OBJECT, ("RP.dcm", "not a whole DICOM dataset")),
    "another SOP class": (on("RS.dcm", _of_class(RTImageStorage, "RTIMAGE")), OBJECT, ("RS.dcm", "SOP class")),
    "MR alone": (on_every_slice(_of_class(MRImageStorage, "MR")), CASE, ("An MR image alone", "Send the CT")),
    "structure set for another CT": (another_ct, WAITS, ("drawn on another image series",)),
    "structures in another frame": (on("RS.dcm", _another_frame), CASE, ("The structure set", "frame of reference")),
    "no CT": (removed("CT*"), WAITS, ("have not arrived",)),
    "no structure set": (removed("RS.dcm"), WAITS, ("no structure set",)),
    "empty target": (on("RS.dcm", emptied("PTV")), CASE, ("structure PTV", "empty", "Contour it")),
    "empty External": (on("RS.dcm", emptied("External")), CASE, ("structure External", "empty")),
    "no structures": (on("RS.dcm", put(StructureSetROISequence=[])), OBJECT, ("RS.dcm", "StructureSetROISequence")),
    "open contours": (on("RS.dcm", _open_lines), CASE, ("structure PTV", "points or open lines")),
    "two bodies": (on("RS.dcm", _two_bodies), CASE, ("2 outlines of the patient", "Keep one External")),
    "contours between planes": (on("RS.dcm", moved("PTV", (0, 0, 2))), CASE, ("structure PTV", "off the image planes")),
    "contours above the image": (on("RS.dcm", moved("PTV", (0, 0, 500))), CASE, ("PTV", "off the image planes")),
    "target outside the body": (on("RS.dcm", moved("PTV", (70, 0, 0))), CASE, ("target PTV lies outside the body",)),
    "target outside the image": (on("RS.dcm", moved("PTV", (400, 0, 0))), CASE, ("structure PTV", "leaves the image")),
    "CT not in HU": (on_every_slice(put(RescaleType="US")), OBJECT, ("CT_0001.dcm", "not Hounsfield units")),
    "CT of impossible HU": (on_every_slice(put(RescaleIntercept=5000)), CASE, ("cannot be Hounsfield units",)),
    "no rescale": (on("CT", without("RescaleSlope", "RescaleIntercept")), OBJECT, ("CT_0006.dcm", "no RescaleInter")),
    "missing slice": (removed("CT"), WAITS, ("1 of the 12 slices",)),
    "slice twice": (_slice_again(SOPInstanceUID=generate_uid()), CASE, ("1 of its slices lie at the position of",)),
    "uneven spacing": (on("CT", _shifted(2, lambda z: 1.0)), CASE, ("4.00 to 6.00 mm apart",)),
    "tilted gantry": (on_every_slice(put(GantryDetectorTilt=5)), CASE, ("tilted gantry", "Scan again")),
    "sheared stack": (on_every_slice(_shifted(1, lambda z: 0.1 * z)), CASE, ("shifted against each other",)),
    "two patients": (on("RS.dcm", put(PatientID="OTHER")), CASE, ("differ in patient ID", "Check that they belong")),
    "UID that is none": (on("RS.dcm", put(StudyInstanceUID="1.02.3")), OBJECT, ("RS.dcm", "not a valid DICOM UID")),
    "another UID announced": (_header_of_another, OBJECT, ("CT_0006.dcm", "not the one announced")),
    "one UID, other bytes": (_slice_again(InstanceNumber=99), OBJECT, ("zz.dcm", "CT_0006.dcm", "other content")),
    "lies on the side": (on_every_slice(put(PatientPosition="HFDL")), OBJECT, ("CT_0001.dcm", "HFS, HFP, FFS, FFP")),
    "relative dose": (on("RD.dcm", put(DoseUnits="RELATIVE")), OBJECT, ("RTDOSE", "relative", "in Gy")),
}


@pytest.mark.parametrize("name", STUDIES)
def test_replan_of_a_bad_study(run: Run, study: Path, good: SmallCase, tmp_path: Path, name: str) -> None:
    spoil, key, words = STUDIES[name]
    spoil(study)
    before = contents(study)
    ran = run("replan", study, "--out", tmp_path / "out", "--goals", good.goals, "--json")
    sentence = refused(ran, 4, key, *words)
    assert "Small^Case" not in sentence and "SMALL-1" not in sentence
    assert not (tmp_path / "out").exists()
    assert contents(study) == before


@pytest.mark.parametrize(
    ("arguments", "code", "key", "words"),
    [
        (("replan", "NOWHERE", "--out", "OUT"), 4, WAITS, ("no folder", "Name the folder")),
        (("replan", "STUDY", "--out", "OUT", "--goals", "NOWHERE"), 4, "refused.goals", ("No such file", "give the")),
        (("replan", "STUDY", "--out", "OUT", "--goals", "STUDY"), 4, "refused.goals", ("Is a directory",)),
        (("replan", "STUDY", "--out", "OUT", "--goals", "RUBBISH"), 4, "refused.goals", ("not valid TOML", "correct")),
        (("replan", "STUDY", "--out", "OUT", "--site", "knee"), 4, "refused.goals", ("'knee'", "prostate")),
        (("replan", "STUDY", "--out", "RUBBISH"), 11, "node.write", ("File exists",)),
        (("replan", "STUDY", "--out", "/proc/none"), 11, "node.write", ("/proc/none",)),
        (("dose", "PLAN", "--ct", "NOWHERE", "--out", "OUT"), 4, WAITS, ("no folder",)),
        (("dose", "PLAN", "--ct", "STUDY", "--out", "STUDY"), 11, "node.write", ("Is a directory",)),
        (("import-openkbp", "RUBBISH", "--out", "OUT"), 4, OBJECT, ("OpenKBP file", "damaged")),
        (("import-openkbp", "STUDY", "--out", "OUT"), 4, OBJECT, ("Is a directory",)),
        (("audit", "export", "--store", "LOG", "--out", "/proc/none"), 11, "node.write", ("/proc/none",)),
        (("audit", "show", "--store", "DAMAGED"), 9, "audit", ("file is not a database", "audit verify")),
        (("sessions", "--store", "DAMAGED"), 9, "audit", ("file is not a database",)),
        (("approve", "s", "--store", "NOWHERE"), 11, "node", ("no store", "couchside serve")),
        (("serve", "--store", "RUBBISH"), 11, "node", ("cannot be made", "File exists")),
        (("serve", "--store", "DAMAGED"), 9, "audit", ("signing key",)),
    ],
    ids=lambda value: " ".join(value[:1] + value[-2:]) if isinstance(value, tuple) else "",
)
def test_bad_arguments(
    run: Run, good: SmallCase, tmp_path: Path, arguments: tuple[str, ...], code: int, key: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "log").mkdir()
    AuditLog.open(tmp_path / "log" / "audit.sqlite").close()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "audit.sqlite").write_bytes(b"no database" * 100)
    (tmp_path / "rubbish").write_text("rubbish [[")
    places = {
        "STUDY": good.folder,
        "PLAN": good.folder / "RP.dcm",
        "NOWHERE": tmp_path / "nowhere",
        "OUT": tmp_path / "out",
        "RUBBISH": tmp_path / "rubbish",
        "LOG": tmp_path / "log",
        "DAMAGED": tmp_path / "damaged",
    }
    before = contents(good.folder)
    given = [places.get(argument, argument) for argument in arguments]
    ran = run(*given, *(() if arguments[0] == "serve" else ("--json",)))
    if arguments[0] == "serve":
        assert ran.code == code
        said = ran.err.strip().splitlines()[-1]
        assert said.startswith("couchside: ") and all(word in said for word in words), said
    else:
        refused(ran, code, key, *words)
    assert not (tmp_path / "out").exists()
    assert contents(good.folder) == before


@pytest.mark.parametrize(
    ("line", "code", "key", "words"),
    [
        ('machine = "nope"', 6, "model", ("'nope'", "millennium120")),
        ('beam_model = "nope"', 6, "model", ("'nope'", "generic_6mv")),
        ('density = "nope"', 6, "model", ("'nope'", "generic_ct")),
        ('goals = "nope.toml"', 4, "refused.goals", ("nope.toml",)),
        ("beems = 3", 3, "config", ("planning.beems", "no such key")),
        ('beams = "many"', 3, "config", ("planning.beams",)),
        ("beams = 99", 3, "config", ("planning.beams",)),
    ],
)
def test_bad_configuration(
    run: Run, good: SmallCase, tmp_path: Path, line: str, code: int, key: str, words: tuple[str, ...]
) -> None:
    config = tmp_path / "couchside.toml"
    config.write_text(f"[planning]\n{line}\n", "utf-8")
    goals = () if line.startswith("goals") else ("--goals", good.goals)
    ran = run("replan", good.folder, "--out", tmp_path / "out", "--config", config, *goals, "--json")
    refused(ran, code, key, *words)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_the_results_of_the_earlier_run(
    run: Run, good: SmallCase, small_disk: Callable[[str], Path]
) -> None:
    """100 kB hold the plan and the dose, and not the report."""
    disk = small_disk("100k")
    out = disk / "out"
    out.mkdir()
    (out / "scorecard.json").write_text('{"of": "an earlier run"}')
    coarse = good.folder.parent / "coarse.toml"
    ran = run("replan", good.folder, "--out", out, "--goals", good.goals, "--config", coarse, "--json")
    refused(ran, 11, "node.disk_full", "Too little disk space", "Free space")
    assert contents(disk) == {"out/scorecard.json": b'{"of": "an earlier run"}'}


def test_a_full_disk_leaves_nothing_of_an_import(run: Run, tmp_path: Path, small_disk: Callable[[str], Path]) -> None:
    shape = (30, 30, 40)
    ct = np.full(shape, 1000, np.uint16)
    label = np.zeros(shape, np.uint16)
    label[10:20, 10:20, 10:20] = 1 << 10
    size, offset = np.array([3.0, 3.0, 3.0], np.float32), np.array([1, 1, 1], np.int16)
    np.savez(tmp_path / "pt_1.npz", ct=ct, label=label, voxel_dimensions=size, offset=offset)
    disk = small_disk("60k")
    ran = run("import-openkbp", tmp_path / "pt_1.npz", "--out", disk / "study", "--json")
    refused(ran, 11, "node.disk_full", "Too little disk space")
    assert list(disk.iterdir()) == []


def test_a_read_only_folder_is_noticed_before_planning(
    run: Run, good: SmallCase, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("1m")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    ran = run("replan", good.folder, "--out", disk, "--goals", good.goals, "--json")
    refused(ran, 11, "node.write", "Read-only file system")
    assert "planner" not in ran.err


def test_an_empty_organ_and_a_missing_body_are_said_and_planned_without(
    run: Run, study: Path, good: SmallCase, tmp_path: Path
) -> None:
    with edited(study / "RS.dcm") as dataset:
        emptied("Core")(dataset)
        roi(dataset, "External")[0].ROIName = "Couch1"
        dataset.RTROIObservationsSequence[0].RTROIInterpretedType = "SUPPORT"
    coarse = good.folder.parent / "coarse.toml"
    ran = run("replan", study, "--out", tmp_path / "out", "--goals", good.goals, "--config", coarse, "--json")
    assert ran.code == 0, ran.err
    notes = " ".join(json.loads(ran.out)["session"]["notes"])
    assert "Structure Core was left out: it is empty" in notes
    assert "no External" in notes
    assert all((tmp_path / "out" / name).is_file() for name in ("RP.dcm", "RD.dcm", "RS.dcm", "report.html"))
    assert not list((tmp_path / "out").glob(".partial*"))
