"""A small lopsided patient: every axis, flip and name can be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import (
    Beam,
    Contour,
    ControlPoint,
    Identity,
    Image,
    Jaws,
    Plan,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.files import save_durable
from appliance.dicomio.structure_set import structure_set_dataset
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


BOUNDARIES = (-20.0, -10.0, 0.0, 10.0, 20.0)
JAWS = Jaws(-30.0, 30.0, -20.0, 20.0)
SHAPE_1 = ((-5.0, -10.004, -7.5, 0.0), (5.0, 12.346, 7.5, 0.0))
SHAPE_2 = ((-6.0, -11.0, 2.0, 0.0), (5.0, 12.0, 8.25, 0.0))


def point(mu: float, gantry_deg: float, shape: tuple[tuple[float, ...], tuple[float, ...]]) -> ControlPoint:
    return ControlPoint(mu, gantry_deg, 10.0, 350.0, JAWS, *shape)


def beam(number: int, *points: ControlPoint, fluence_mode: str = "STANDARD") -> Beam:
    return Beam(
        number=number,
        name=f"G{points[0].gantry_deg:03.0f}",
        machine="millennium120",
        energy_mv=6.0,
        fluence_mode=fluence_mode,
        isocentre_mm=(1.25, -30.123456, 4.0),
        sad_mm=1000.0,
        dose_rate_mu_min=600.0,
        leaf_boundaries_mm=BOUNDARIES,
        control_points=points,
    )


def step_and_shoot(number: int, gantry_deg: float, fluence_mode: str = "STANDARD") -> Beam:
    return beam(
        number,
        point(0.0, gantry_deg, SHAPE_1),
        point(33.3333333, gantry_deg, SHAPE_1),
        point(33.3333333, gantry_deg, SHAPE_2),
        point(101.7, gantry_deg, SHAPE_2),
        fluence_mode=fluence_mode,
    )


def arc() -> Beam:
    """350 -> 10 clockwise through 0, back to 355, then standing still."""
    degrees = (350.0, 10.0, 355.0, 355.0)
    return beam(9, *(point(20.0 * index, degree, SHAPE_1) for index, degree in enumerate(degrees)))


@pytest.fixture(scope="session")
def plan() -> Plan:
    return Plan("Adapted 2026-01-02", (step_and_shoot(1, 0.0), step_and_shoot(2, 200.0, "FFF"), arc()), 25, "HFS")


@pytest.fixture(scope="session")
def structure_set(
    tmp_path_factory: pytest.TempPathFactory,
    structures: tuple[Structure, ...],
    identity: Identity,
    frame_uid: str,
    images: tuple[SourceObject, ...],
) -> SourceObject:
    dataset = structure_set_dataset(
        structures, identity=identity, frame_of_reference_uid=frame_uid, images=images, label="Today"
    )
    return save_durable(dataset, tmp_path_factory.mktemp("rs") / "RS.dcm")
