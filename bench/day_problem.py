"""Images of the day made from OpenKBP patients, with known truth: what day_match.py and density.py measure on.

A day: a set-up shift of up to 10 mm and 3 degrees, a smooth random bend, gas pockets that were not there, a skin that
lost a voxel on one side, and the artefacts of a cone-beam CT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.builtin.packed import PackedPatient, read_packed
from appliance.case.image import ImageSeries
from appliance.case.scanner import Scanner
from appliance.case.structure_set import StructureReading
from appliance.case.today.match import DayReference
from appliance.case.today.modality import DayImage, Imaging
from appliance.contracts import Identity, Image, SourceObject, Structure, StructureKind
from engines.calibration import body_of
from engines.grid import Grid, VoxelSet
from engines.registration import DisplacementField, RigidTransform

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

SHARED = Path(__file__).resolve().parents[2] / "shared" / "openkbp"
BEND_SIGMA_MM = 40.0


def patients(count: int, folder: Path, skip: int = 0) -> Iterator[tuple[str, PackedPatient]]:
    """`count` of those with a CT, in order of their numbers, after the first `skip`."""
    paths = sorted(folder.glob("*/pt_*.npz"), key=lambda path: int(path.stem[3:]))
    found = 0
    for path in paths:
        with np.load(path) as stored:
            if "ct" not in stored.files:
                continue
        if found == skip + count:
            return
        found += 1
        if found > skip:
            yield path.stem, read_packed(path)


def bend(grid: Grid, rng: np.random.Generator, most_mm: float, sigma_mm: float = BEND_SIGMA_MM) -> DisplacementField:
    """A smooth random field whose largest displacement is most_mm, on every fourth voxel."""
    spacing = tuple(4 * step for step in grid.spacing_mm)
    shape = tuple(max(2, count // 4 + 1) for count in grid.shape)
    coarse = Grid(grid.origin_mm, (spacing[0], spacing[1], spacing[2]), (shape[0], shape[1], shape[2]))
    field = rng.standard_normal((*coarse.shape, 3)).astype(np.float32)
    for axis in range(3):
        sigma = [sigma_mm / step for step in coarse.spacing_mm[::-1]]
        field[..., axis] = ndimage.gaussian_filter(field[..., axis], sigma, mode="nearest")
    field *= most_mm / np.linalg.norm(field, axis=-1).max()
    return DisplacementField(coarse, field)


def added(one: DisplacementField, other: DisplacementField, grid: Grid) -> DisplacementField:
    points = _points(grid)
    return DisplacementField(grid, (one.at(points) + other.at(points)).astype(np.float32))


def set_up(grid: Grid, body: Mask, rng: np.random.Generator) -> DisplacementField:
    """A rigid motion about the middle of the body."""
    middle = grid.centres_mm(np.flatnonzero(body)[::50]).mean(axis=0)
    motion = RigidTransform.of(
        tuple(rng.uniform(-10, 10, 3)), tuple(rng.uniform(-3, 3, 3)), tuple(float(value) for value in middle)
    )
    return DisplacementField.of_rigid(motion, grid)


def _points(grid: Grid) -> NDArray[np.float64]:
    x, y, z = grid.axes_mm()
    out = np.empty((*grid.shape, 3))
    out[..., 0], out[..., 1], out[..., 2] = x, y[:, None], z[:, None, None]
    return out


@dataclass(frozen=True, eq=False)
class Day:
    """truth_hu: what today is. field: from today to the reference, known. body: of today."""

    grid: Grid
    truth_hu: Values
    body: Mask
    field: DisplacementField


def day_of(patient: PackedPatient, body: Mask, rng: np.random.Generator, *, most_mm: float) -> Day:
    """body: of the reference, without the air that some of the set's outlines hold."""
    grid = patient.grid
    field = added(set_up(grid, body, rng), bend(grid, rng, most_mm), grid)
    hu = field.pulled(np.where(body, patient.hu, np.int16(-1000)), grid, grid, outside=-1000.0)
    today = field.pulled(body, grid, grid, outside=0.0) > 0.5
    x_mm = grid.axes_mm()[0]
    lost = today & ~ndimage.binary_erosion(today) & (x_mm > x_mm.mean())[None, None, :]
    today &= ~lost
    hu[~today] = -1000.0
    inner = np.flatnonzero(ndimage.binary_erosion(today, iterations=4) & (np.abs(hu) < 150))
    points = _points(grid)
    for centre in grid.centres_mm(rng.choice(inner, 2)):
        pocket = np.linalg.norm(points - centre, axis=-1) < rng.uniform(8, 14)
        hu[pocket & today] = -950.0
    # The outline as an image of today has it: voxels that are mostly air are not of the body, here as in the product.
    outline = body_of(hu, grid)
    hu[~outline] = -1000.0
    return Day(grid, hu, outline, field)


@dataclass(frozen=True)
class Artefacts:
    """Of a cone-beam CT. cupping: share of density lost in the middle. drift: of a slow random change. noise_hu: in the
    body, streaky. bone: contrast left of what is denser than 150 HU. scale, offset_hu: largest random error of both."""

    cupping: float = 0.12
    drift: float = 0.04
    noise_hu: float = 40.0
    bone: float = 0.75
    scale: float = 0.12
    offset_hu: float = 60.0


MILD, USUAL, STRONG = Artefacts(0.05, 0.02, 20.0, 0.9, 0.05, 30.0), Artefacts(), Artefacts(0.2, 0.08, 80.0, 0.6, 0.2)


def cone_beam(day: Day, kind: Artefacts, rng: np.random.Generator) -> Values:
    """Values of the day as an imager nobody calibrated would give them."""
    spacing = day.grid.spacing_mm[::-1]
    deep = np.minimum(ndimage.distance_transform_edt(day.body, sampling=spacing) / 70.0, 1.0)
    slow = ndimage.gaussian_filter(rng.standard_normal(day.grid.shape), [40 / step for step in spacing])
    density = (day.truth_hu + 1000.0) * (1 - kind.cupping * deep + kind.drift * slow / np.abs(slow).max())
    dense = density > 1150.0
    density[dense] = 1150.0 + (density[dense] - 1150.0) * kind.bone
    streaks = ndimage.gaussian_filter(rng.standard_normal(day.grid.shape), (0, 1, 1))
    streaks *= kind.noise_hu / streaks.std()
    density = density * (1 + rng.uniform(-kind.scale, kind.scale)) + rng.uniform(-1, 1) * kind.offset_hu
    return np.asarray(density - 1000.0 + streaks * np.where(day.body, 1.0, 0.4), np.float32)


def cut_to_circle(values: Values, grid: Grid, radius_mm: float) -> Values:
    """As an imager leaves what it could not reconstruct: one value, lower than any."""
    x_mm, y_mm, _ = grid.axes_mm()
    away = np.hypot(x_mm[None, :] - x_mm.mean(), y_mm[:, None] - y_mm.mean())
    return np.where(away <= radius_mm, values, values.min() - np.float32(100))


def reference_of(name: str, patient: PackedPatient, body: Mask) -> DayReference:
    kinds = {"External": StructureKind.EXTERNAL}
    masks = {**patient.masks, "External": body}
    drawn = tuple(
        Structure(
            number,
            label,
            label,
            kinds.get(label, StructureKind.TARGET if label.startswith("PTV") else StructureKind.ORGAN),
            (),
            VoxelSet.from_dense(mask.astype(np.float32)),
        )
        for number, (label, mask) in enumerate(masks.items(), start=1)
    )
    series = _series(name, Image(patient.grid, patient.hu))
    return DayReference(series, StructureReading(drawn, (), series.identity, _source(name)))


def image_of(name: str, hu: NDArray[np.generic], grid: Grid, imaging: Imaging) -> DayImage:
    values = np.clip(np.rint(hu), -32000, 32000).astype(np.int16)
    modality = "CBCT" if imaging is Imaging.CBCT else imaging.value
    return DayImage(_series(f"today of {name}", Image(grid, values, modality)), imaging, "It is made up")


def _series(name: str, image: Image) -> ImageSeries:
    return ImageSeries(image, f"frame of {name}", "HFS", Identity(name, "", "", "", ""), (_source(name),), Scanner())


def _source(name: str) -> SourceObject:
    return SourceObject("", name, name, "CT", Path(name), "")


def body_of_patient(patient: PackedPatient) -> Mask:
    return body_of(patient.hu, patient.grid)
