"""A small patient with no symmetry, as DICOM: every axis has its own spacing, count and landmarks."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.contracts import (
    Contour,
    Identity,
    Image,
    Received,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.files import save_durable
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.dicomio.values import new_uid
from engines.grid import Grid, VoxelSet

GRID = Grid((-31.0, -24.5, -12.0), (2.0, 2.5, 3.0), (9, 21, 33))
IDENTITY = Identity("P-17", "Doe^Jane", "19500101", "F", new_uid(), study_id="S1", study_date="20260302")
NOTHING = VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32))


def body_hu() -> np.ndarray:
    """Air, a body of 20 HU, and landmarks at the patient's left, back and head that no mirror image shares."""
    hu = np.full(GRID.shape, -1000, np.int16)
    hu[:, 3:18, 4:29] = 20
    hu[:, 8:10, 24:27] = 400  # towards the left
    hu[:, 15:17, 10:12] = -700  # towards the back
    hu[7:, 5:7, 15:18] = 900  # towards the head
    return hu


def box(x0, x1, y0, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def prism(number, name, kind, loop, planes, tg263=None):
    z_mm = GRID.axes_mm()[2]
    contours = tuple(Contour(float(z_mm[index]), loop) for index in planes)
    return Structure(number, name, tg263 or name, kind, contours, NOTHING)


def structures() -> list[Structure]:
    """Body 50 x 37.5 mm on all slices; a PTV of 12 x 15 mm on four, an organ on five."""
    return [
        prism(1, "BODY", StructureKind.EXTERNAL, box(-24, 26, -18.25, 19.25), range(9), "External"),
        prism(2, "PTV70", StructureKind.TARGET, box(0, 12, -5, 10), range(2, 6), "PTV_7000"),
        prism(3, "RightParotid", StructureKind.ORGAN, box(-20, -10, -5, 5), range(1, 6), "Parotid_R"),
    ]


@dataclass(frozen=True)
class Study:
    folder: Path
    frame_of_reference_uid: str
    images: tuple[SourceObject, ...]

    @property
    def paths(self) -> list[Path]:
        return [image.path for image in self.images]

    def structure_set(self, items: list[Structure] | None = None, change: Callable[[Dataset], None] | None = None):
        """Writes a structure set of `items`, after `change` was done to its dataset."""
        dataset = structure_set_dataset(
            structures() if items is None else items,
            identity=IDENTITY,
            frame_of_reference_uid=self.frame_of_reference_uid,
            images=self.images,
            label="today",
        )
        if change is not None:
            change(dataset)
        return save_durable(dataset, self.folder / "RS.dcm")


def write_study(folder: Path, patient_position: str = "HFS", hu: np.ndarray | None = None) -> Study:
    frame = new_uid()
    images = write_ct_series(
        Image(GRID, body_hu() if hu is None else hu),
        identity=IDENTITY,
        frame_of_reference_uid=frame,
        patient_position=patient_position,
        folder=folder,
    )
    return Study(folder, frame, images)


def altered(path: Path, change: Callable[[Dataset], None], to: Path | None = None) -> Path:
    """Rewrites a file after `change` was done to its dataset."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(to or path, enforce_file_format=True)
    return to or path


def received(*sources: SourceObject) -> list[Received]:
    return [
        Received(
            sop_class_uid=source.sop_class_uid,
            sop_instance_uid=source.sop_instance_uid,
            modality=source.modality,
            series_instance_uid=source.series_instance_uid,
            frame_of_reference_uid="",
            patient_key="",
            path=source.path,
            sha256=hashlib.sha256(source.path.read_bytes()).hexdigest(),
        )
        for source in sources
    ]


@pytest.fixture(scope="session")
def supine(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Written once, durably and so slowly; tests get copies."""
    return write_study(tmp_path_factory.mktemp("supine"))


@pytest.fixture
def study(tmp_path: Path, supine: Study) -> Study:
    images = tuple(replace(image, path=tmp_path / image.path.name) for image in supine.images)
    for image in supine.images:
        shutil.copy(image.path, tmp_path)
    return Study(tmp_path, supine.frame_of_reference_uid, images)


@pytest.fixture
def kit():
    """This module: its functions and constants."""
    return sys.modules[__name__]
