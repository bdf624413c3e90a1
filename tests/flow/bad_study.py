"""One small study with a plan and a dose, and the ways to spoil a copy of it. Each spoiler does one thing wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from appliance.case import assemble
from appliance.contracts.progress import silent
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.evaluation import load_goal_set
from appliance.inbound import read_folder

from ..cli.conftest import Ran
from ..session.small_case import SmallCase, write_small_case
from ..session.standin import open_field

COARSE = "[planning]\nbeams = 3\nbeamlet_mm = 10.0\ndose_grid_mm = 6.0\nsegments_per_beam = 2\nsparing_rounds = 0\n"
COARSE += "[evaluation]\nrobustness = false\nexplain_budget_s = 0\n"

Spoiler = Callable[[Path], None]
OBJECT, CASE, WAITS = "refused.object", "refused.inconsistent", "refused.incomplete"


def write_study(folder: Path) -> SmallCase:
    """CT_*.dcm, RS.dcm, RP.dcm (one static field) and RD.dcm."""
    small = write_small_case(folder)
    write_plan(folder, small.goals)
    (folder.parent / "coarse.toml").write_text(COARSE, "utf-8")
    return small


def write_plan(folder: Path, goals: Path) -> None:
    """RP.dcm and RD.dcm beside the CT and structures of a folder."""
    case = assemble(read_folder(folder))
    made = open_field(case, load_goal_set(goals), None, silent)
    plan, dose = made.plan, made.dose
    written = save_durable(
        plan_dataset(
            plan,
            identity=case.identity,
            structure_set=case.structure_set,
            predecessor=None,
            prescription=(),
            frame_of_reference_uid=case.frame_of_reference_uid,
        ),
        folder / "RP.dcm",
    )
    save_durable(
        dose_dataset(
            dose.grid,
            dose.dose_gy,
            identity=case.identity,
            frame_of_reference_uid=case.frame_of_reference_uid,
            plan=written,
            structure_set=None,
        ),
        folder / "RD.dcm",
    )


def slices(folder: Path) -> list[Path]:
    """The CT files from feet to head."""
    files = [path for path in folder.iterdir() if path.name.startswith("CT")]
    return sorted(
        files,
        key=lambda path: float(pydicom.dcmread(path, specific_tags=["ImagePositionPatient"])[0x00200032].value[2]),
    )


@contextmanager
def edited(path: Path) -> Iterator[Dataset]:
    dataset = pydicom.dcmread(path)
    yield dataset
    dataset.save_as(path, enforce_file_format=True)


def on(name: str, change: Callable[[Dataset], object]) -> Spoiler:
    """Changes one file; 'CT' is a slice in the middle."""

    def spoil(folder: Path) -> None:
        with edited(slices(folder)[5] if name == "CT" else folder / name) as dataset:
            change(dataset)

    return spoil


def on_every_slice(change: Callable[[Dataset], object]) -> Spoiler:
    def spoil(folder: Path) -> None:
        for path in slices(folder):
            with edited(path) as dataset:
                change(dataset)

    return spoil


def put(**values: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def without(*keywords: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword in keywords:
            if keyword in dataset:
                delattr(dataset, keyword)

    return change


def cut(name: str, keep: float = 0.6) -> Spoiler:
    def spoil(folder: Path) -> None:
        path = slices(folder)[5] if name == "CT" else folder / name
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return spoil


def removed(*names: str) -> Spoiler:
    """'CT' is a slice in the middle, 'CT*' all of them."""

    def spoil(folder: Path) -> None:
        for name in names:
            for path in slices(folder) if name == "CT*" else [slices(folder)[5] if name == "CT" else folder / name]:
                path.unlink()

    return spoil


def roi(dataset: Dataset, name: str) -> tuple[Dataset, Dataset]:
    """(StructureSetROI item, ROIContour item)."""
    item = next(item for item in dataset.StructureSetROISequence if item.ROIName == name)
    contours = next(c for c in dataset.ROIContourSequence if c.ReferencedROINumber == item.ROINumber)
    return item, contours


def emptied(name: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        del roi(dataset, name)[1].ContourSequence

    return change


def moved(name: str, by_mm: tuple[float, float, float]) -> Callable[[Dataset], None]:
    """Shifts the contours of one structure."""

    def change(dataset: Dataset) -> None:
        for contour in roi(dataset, name)[1].ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3) + by_mm
            contour.ContourData = [f"{value:.3f}" for value in points.ravel()]

    return change


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def another_ct(folder: Path) -> None:
    """The slices get new UIDs and a frame of reference of their own: the structure set is for another CT."""
    frame, series = generate_uid(), generate_uid()
    for path in slices(folder):
        with edited(path) as dataset:
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.FrameOfReferenceUID, dataset.SeriesInstanceUID = frame, series


def refused(ran: Ran, code: int, key: str, *words: str) -> str:
    """The sentence, after what holds for every refusal was checked."""
    assert ran.code == code, (ran.code, ran.err)
    assert "Traceback" not in ran.err + ran.out
    assert ran.out == ""
    told = json.loads(ran.err.strip().splitlines()[-1])
    assert (told["ok"], told["key"], told["exit_code"]) == (False, key, code), told
    sentence = str(told["sentence"])
    assert "\n" not in sentence
    for word in words:
        assert word in sentence, sentence
    return sentence


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
