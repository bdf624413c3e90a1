"""A patient small enough to be planned in about a second: a cylinder of water with a target and an organ behind it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from appliance.contracts import Contour, Identity, Image, SourceObject, Structure, StructureKind
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.files import save_durable
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.dicomio.values import new_uid
from engines.grid import Grid, VoxelSet

GRID = Grid(origin_mm=(-97.5, -97.5, -27.5), spacing_mm=(5.0, 5.0, 5.0), shape=(12, 40, 40))
NO_VOXELS = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))

GOALS = """
name = "small"
title = "A small target"
site = "small"
fractions = 5

[[prescription]]
structure = "PTV"
dose_gy = 20.0

[[goal]]
structure = "PTV"
metric = "D50%"
comparator = ">="
limit = 15.0
unit = "Gy"
priority = 1
source = "Our own choice for a test"

[[goal]]
structure = "Core"
metric = "Mean"
comparator = "<="
limit = 18.0
unit = "Gy"
priority = 2
source = "Our own choice for a test"
"""


@dataclass(frozen=True)
class SmallCase:
    folder: Path
    files: tuple[Path, ...]
    goals: Path


SHIFT_MM = (5.0, -5.0, 5.0)
"""Where everything lies on the day, against the reference: a voxel to the left, to the front and to the head."""


def _ring(centre_mm: tuple[float, float], radius_mm: float, slices: range) -> tuple[Contour, ...]:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * radius_mm + np.asarray(centre_mm)
    z_mm = GRID.axes_mm()[2]
    return tuple(Contour(float(z_mm[index]), points) for index in slices)


def write_small_case(folder: Path, *, patient_id: str = "SMALL-1") -> SmallCase:
    identity = Identity(patient_id, "Small^Case", "", "O", new_uid(), "1", "20260301", "090000")
    frame_uid = new_uid()
    x_mm, y_mm, _ = GRID.axes_mm()
    inside = (x_mm[None, :] ** 2 + y_mm[:, None] ** 2) <= 80.0**2
    hu = np.where(inside, 0, -1000).astype(np.int16)
    image = Image(GRID, np.broadcast_to(hu, GRID.shape).copy())
    images = write_ct_series(
        image,
        identity=identity,
        frame_of_reference_uid=frame_uid,
        patient_position="HFS",
        folder=folder,
    )
    kinds = StructureKind
    structures = (
        Structure(1, "External", "External", kinds.EXTERNAL, _ring((0, 0), 80, range(12)), NO_VOXELS, (0, 255, 0)),
        Structure(2, "PTV", "PTV", kinds.TARGET, _ring((0, -10), 20, range(4, 8)), NO_VOXELS, (255, 0, 0)),
        Structure(3, "Core", "Core", kinds.ORGAN, _ring((0, 25), 10, range(3, 9)), NO_VOXELS, (0, 0, 255)),
    )
    dataset = structure_set_dataset(
        structures, identity=identity, frame_of_reference_uid=frame_uid, images=images, label="small"
    )
    written = save_durable(dataset, folder / "RS.dcm")
    goals = folder.with_name(f"{folder.name}-goals.toml")
    goals.write_text(GOALS, "utf-8")
    return SmallCase(folder, (*(source.path for source in images), written.path), goals)


def write_small_pair(folder: Path, *, patient_id: str = "SMALL-1", drawn: bool = False) -> SmallCase:
    """A reference in `folder`/reference (image, structures; no plan) and the day's image in `folder`/today, shifted by
    SHIFT_MM. On both the target and the organ can be seen. drawn: with the day's own structures."""
    goals = folder / "goals.toml"
    files: list[Path] = []
    now = datetime.date.today()
    before = now - datetime.timedelta(days=10)
    for day, shift, date in (("reference", (0.0, 0.0, 0.0), f"{before:%Y%m%d}"), ("today", SHIFT_MM, f"{now:%Y%m%d}")):
        identity = Identity(patient_id, "Small^Case", "", "O", new_uid(), day[:8], date, "090000")
        frame_uid = new_uid()
        images = write_ct_series(
            Image(GRID, _seen(shift)), identity=identity, frame_of_reference_uid=frame_uid, patient_position="HFS",
            folder=folder / day,
        )  # fmt: skip
        _dated(images, date)
        files += [source.path for source in images]
        if day == "reference" or drawn:
            structures = _structures_at(shift)
            dataset = structure_set_dataset(
                structures, identity=identity, frame_of_reference_uid=frame_uid, images=images, label=day
            )
            dataset.StructureSetDate = date
            files.append(save_durable(dataset, folder / day / "RS.dcm").path)
    goals.write_text(GOALS, "utf-8")
    return SmallCase(folder, tuple(files), goals)


def _dated(images: tuple[SourceObject, ...], date: str) -> None:
    for source in images:
        dataset = dcmread(source.path)
        dataset.AcquisitionDate, dataset.AcquisitionTime = date, "090000"
        save_durable(dataset, source.path)


def _structures_at(shift: tuple[float, float, float]) -> tuple[Structure, ...]:
    x, y, z = shift
    up, kinds = round(z / GRID.spacing_mm[2]), StructureKind
    slices = GRID.axes_mm()[2]
    body = [_ring((x, y), 70.0 + 0.5 * (float(slices[i]) - z), range(i, i + 1))[0] for i in range(GRID.shape[0])]
    return (
        Structure(1, "External", "External", kinds.EXTERNAL, tuple(body), NO_VOXELS, (0, 255, 0)),
        Structure(2, "PTV", "PTV", kinds.TARGET, _ring((x, y - 10), 20, range(4 + up, 8 + up)), NO_VOXELS, (255, 0, 0)),
        Structure(3, "Core", "Core", kinds.ORGAN, _ring((x, y + 25), 10, range(3 + up, 9 + up)), NO_VOXELS),
    )


def _seen(shift: tuple[float, float, float]) -> NDArray[np.int16]:
    """Water that widens towards the head, a dense target, a light organ, and a nose that says where the front is."""
    x_mm, y_mm, z_mm = GRID.axes_mm()
    x, y, z = x_mm[None, None, :] - shift[0], y_mm[None, :, None] - shift[1], z_mm[:, None, None] - shift[2]
    hu = np.where(np.hypot(x, y) <= 70.0 + 0.5 * z, 0, -1000)
    hu = np.where((np.hypot(x, y + 10) <= 20) & (z > -10) & (z < 10), 150, hu)
    hu = np.where((np.hypot(x, y - 25) <= 10) & (z > -15) & (z < 15), -150, hu)
    return np.where((np.abs(x - 30) < 8) & (y < -50) & (y > -78) & (np.abs(z) < 10), 300, hu).astype(np.int16)
