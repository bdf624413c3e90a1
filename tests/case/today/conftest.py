"""A day's image beside its reference, small, without files."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from appliance.case.image import ImageSeries
from appliance.case.scanner import Scanner
from appliance.case.structure_set import StructureReading
from appliance.case.today.match import DayReference
from appliance.case.today.modality import DayImage, Imaging
from appliance.contracts import Identity, Image, SourceObject, Structure, StructureKind
from engines.grid import Grid, VoxelSet

GRID = Grid((-98.0, -78.0, -60.0), (4.0, 4.0, 4.0), (31, 40, 50))
WHO = Identity("P-17", "Doe^Jane", "19500101", "F", "1.2.3", study_date="20260302")


def phantom_hu(grid: Grid = GRID) -> np.ndarray:
    """An elliptical body of 20 HU with fat below the skin, a spine, a windpipe, and landmarks that no mirror image
    shares; noise of 5 HU."""
    x_mm, y_mm, z_mm = (
        axis.reshape(shape) for axis, shape in zip(grid.axes_mm(), ((-1,), (-1, 1), (-1, 1, 1)), strict=True)
    )
    hu = np.full(grid.shape, -1000.0)
    radius = np.sqrt((x_mm / 80) ** 2 + (y_mm / 60) ** 2) * (1 + z_mm / 400)
    hu[radius < 1] = -100
    hu[radius < 0.85] = 20

    def ball(x, y, z, r, value):
        hu[(x_mm - x) ** 2 + (y_mm - y) ** 2 + (z_mm - z) ** 2 < r**2] = value

    hu[((x_mm - 2) ** 2 + (y_mm - 35) ** 2 < 12**2) & (z_mm > -1e9)] = 500
    hu[(x_mm**2 + (y_mm + 15) ** 2 < 8**2) & (z_mm > -10)] = -950
    rng = np.random.default_rng(3)
    for _ in range(70):
        x, y, z = rng.uniform((-60, -40, -55), (60, 40, 55))
        ball(x, y, z, rng.uniform(5, 10), rng.choice((-90, 60, 250, 600)))
    return np.rint(hu + 5 * rng.standard_normal(grid.shape)).astype(np.int16)


def source(number: int) -> SourceObject:
    from pathlib import Path

    return SourceObject("1.2.840.10008.5.1.4.1.1.2", f"1.9.{number}", "1.8", "CT", Path("nowhere"), f"{number:064d}")


def series(hu: np.ndarray, grid: Grid = GRID, *, first: int = 0, day: str = "20260302") -> ImageSeries:
    return ImageSeries(
        image=Image(grid, hu),
        frame_of_reference_uid=f"1.7.{first}",
        patient_position="HFS",
        identity=replace(WHO, study_date=day),
        sources=tuple(source(first + index) for index in range(grid.shape[0])),
        scanner=Scanner(taken_on=day),
    )


def structure(name: str, kind: StructureKind, mask: np.ndarray, number: int) -> Structure:
    return Structure(number, name, name, kind, (), VoxelSet.from_dense(mask.astype(np.float32)))


def box(lower_mm, upper_mm, grid: Grid = GRID) -> np.ndarray:
    inside = np.ones(grid.shape, np.bool_)
    for axis, (centres, low, high) in enumerate(zip(grid.axes_mm(), lower_mm, upper_mm, strict=True)):
        shape = [1, 1, 1]
        shape[2 - axis] = -1
        inside &= ((centres > low) & (centres < high)).reshape(shape)
    return inside


@dataclass(frozen=True)
class Kit:
    reference: DayReference
    grid: Grid = GRID

    def today(self, hu=None, grid: Grid = GRID, imaging: Imaging = Imaging.CT, **changed) -> DayImage:
        shown = self.reference.series.image.hu + 1 if hu is None else hu
        made = replace(series(shown, grid, first=1000, day="20260316"), **changed)
        return DayImage(made, imaging, "It is a CT: nothing in it names the imager of a treatment machine")

    box = staticmethod(box)
    structure = staticmethod(structure)


@pytest.fixture(scope="session")
def day_kit() -> Kit:
    hu = phantom_hu()
    body = hu > -300
    body |= box((-20, -40, -70), (20, 10, 70))
    drawn = (
        structure("External", StructureKind.EXTERNAL, body, 1),
        structure("PTV_7000", StructureKind.TARGET, box((-20, -20, -20), (20, 20, 20)), 2),
        structure("Parotid_L", StructureKind.ORGAN, box((40, -10, 20), (60, 10, 50)), 3),
        structure("SpinalCord", StructureKind.ORGAN, box((-5, 30, -62), (7, 40, 62)), 4),
    )
    return Kit(DayReference(series(hu), StructureReading(drawn, (), WHO, source(900))))
