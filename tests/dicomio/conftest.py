"""A small lopsided patient: every axis, flip and name can be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import Contour, Identity, Image, SourceObject, Structure, StructureKind
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.values import new_uid
from engines.grid import Grid, VoxelSet

GRID = Grid(origin_mm=(-47.5, -60.25, -12.0), spacing_mm=(2.5, 2.0, 3.0), shape=(6, 30, 40))
EMPTY = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))


def box(x0: float, x1: float, y0: float, y1: float, *z_mm: float) -> tuple[Contour, ...]:
    points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
    return tuple(Contour(z, points) for z in z_mm)


@pytest.fixture(scope="session")
def identity() -> Identity:
    return Identity(
        patient_id="TEST-1",
        patient_name="Müller^Test",
        birth_date="19700101",
        sex="O",
        study_instance_uid=new_uid(),
        study_id="1",
        study_date="20260102",
        study_time="101500",
    )


@pytest.fixture(scope="session")
def image() -> Image:
    rng = np.random.default_rng(7)
    return Image(GRID, rng.integers(-1000, 3000, GRID.shape).astype(np.int16))


@pytest.fixture(scope="session")
def structures() -> tuple[Structure, ...]:
    all_z = GRID.axes_mm()[2].tolist()
    return (
        Structure(1, "BODY", "External", StructureKind.EXTERNAL, box(-40, 40, -55, -10, *all_z), EMPTY, (0, 255, 0)),
        Structure(4, "PTV70", "PTV_7000", StructureKind.TARGET, box(-10, 9.125, -40, -20, -6.0, -3.0), EMPTY),
        Structure(7, "cord", "SpinalCord", StructureKind.ORGAN, (), EMPTY, (0, 0, 255)),
        Structure(9, "Couch", "CouchSurface", StructureKind.SUPPORT, box(-40, 40, -9, -5, 0.0, 1.5), EMPTY),
    )


@pytest.fixture(scope="session")
def frame_uid() -> str:
    return new_uid()


@pytest.fixture(scope="session")
def images(
    tmp_path_factory: pytest.TempPathFactory, image: Image, identity: Identity, frame_uid: str
) -> tuple[SourceObject, ...]:
    folder: Path = tmp_path_factory.mktemp("ct")
    return write_ct_series(
        image, identity=identity, frame_of_reference_uid=frame_uid, patient_position="HFS", folder=folder
    )
