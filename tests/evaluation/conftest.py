"""A case small enough to check by hand: 10 mm voxels of 1 cc, a body of 8 x 8 x 8, a PTV, a union partner, organs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.contracts import (
    CalculatedDose,
    Case,
    Identity,
    Image,
    PlanFacts,
    PrescribedTarget,
    SourceObject,
    Structure,
    StructureKind,
)
from engines.grid import Grid, VoxelSet

GRID = Grid((-45.0, -45.0, -45.0), (10.0, 10.0, 10.0), (10, 10, 10))
BLOCKS: dict[str, tuple[StructureKind, tuple[slice, slice, slice]]] = {
    "External": (StructureKind.EXTERNAL, (slice(1, 9), slice(1, 9), slice(1, 9))),
    "PTV": (StructureKind.TARGET, (slice(4, 6), slice(4, 6), slice(4, 6))),
    "PTV_7000": (StructureKind.TARGET, (slice(4, 6), slice(4, 6), slice(4, 6))),
    "PTV_6300": (StructureKind.TARGET, (slice(6, 7), slice(4, 6), slice(4, 6))),
    "PTV_5600": (StructureKind.TARGET, (slice(7, 8), slice(4, 6), slice(4, 6))),
    "PTV_Central": (StructureKind.TARGET, (slice(4, 6), slice(4, 6), slice(4, 6))),
    "PTV_Superior": (StructureKind.TARGET, (slice(6, 8), slice(4, 6), slice(4, 6))),
    "PTV_Inferior": (StructureKind.TARGET, (slice(2, 4), slice(4, 6), slice(4, 6))),
}
"""Anything not named here lies in 2 x 2 x 1 voxels behind the target."""


def structure(name: str, number: int) -> Structure:
    other = StructureKind.TARGET if name.startswith("PTV") else StructureKind.ORGAN
    kind, block = BLOCKS.get(name, (other, (slice(4, 5), slice(6, 8), slice(4, 6))))
    dense = np.zeros(GRID.shape, np.float32)
    dense[block] = 1
    return Structure(number, name, name, kind, (), VoxelSet.from_dense(dense))


@pytest.fixture
def make_case() -> Callable[..., Case]:
    def make(*names: str, prescription: tuple[tuple[str, float], ...] = ()) -> Case:
        source = SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("rs.dcm"), "0" * 64)
        return Case(
            digest="c" * 64,
            identity=Identity("id", "name", "", "", "1.2.6"),
            frame_of_reference_uid="1.2.5",
            patient_position="HFS",
            image=Image(GRID, np.zeros(GRID.shape, np.int16)),
            structures=tuple(structure(name, number) for number, name in enumerate(("External", *names), 1)),
            prescription=tuple(PrescribedTarget(*entry) for entry in prescription),
            fractions=25,
            images=(),
            structure_set=source,
        )

    return make


@pytest.fixture
def make_dose() -> Callable[..., CalculatedDose]:
    def make(dose_gy: NDArray[np.float32] | float = 50.0, grid: Grid = GRID) -> CalculatedDose:
        values = np.broadcast_to(np.asarray(dose_gy, np.float32), grid.shape).copy()
        return CalculatedDose(grid, values, "a" * 64, "pencil beam", "generic_6mv")

    return make


@pytest.fixture
def facts() -> PlanFacts:
    return PlanFacts(mu=500.0, beams=9, control_points=180, segments=90, deliverable=True, delivery_time_s=240.0)
