"""A built-in case written as a DICOM study: CT slices and structure set, with the truth of its deformation beside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from appliance.builtin.cases import CASES, COLOURS, BuiltinCase, kind_of
from appliance.builtin.contouring import draw
from appliance.builtin.deformation import Deformation
from appliance.builtin.shapes import Solid
from appliance.builtin.stamp import Stamp
from appliance.builtin.writer import StudyWriter, refuse_used_folder
from appliance.contracts import Identity, Image, SourceObject, Structure, StructureKind
from appliance.errors import RefusedInput, WriteFailed
from engines.grid import Grid, VoxelSet

Day = Literal["reference", "today"]

PIXEL_MM = 2.0
"""In-plane voxel size. Chosen: fine enough for penumbras of 5 mm, and small files."""

AIR_MM = (12.0, 12.0, 9.0)
"""Air around the reference phantom (x, y, z). Chosen, so that today's phantom, moved by up to 7 mm in the plane and
4 mm along z, still has two voxels of air around it."""

NOISE_HU = 5.0
"""Standard deviation of the white noise in the phantom, HU. Chosen: the order of a planning CT of the trunk."""

AIR_HU = -1000
CONTRAST_HU: Mapping[str, int] = {
    "PTV": 40,
    "Core": 90,
    "Rectum": -60,
    "Bladder": 25,
    "SpinalCord": 120,
    "Parotid": -70,
}
"""Of a structure against water, by the first part of its name; chosen in the order of what CT shows of a fatty organ,
one filled with contrast medium, the bone round a cord and a tumour."""

STUDY_TIME = "080000"
STUDY_DATES: Mapping[Day, str] = {"reference": "20260302", "today": "20260316"}
"""Synthetic dates, two weeks apart as for a patient under treatment."""


@dataclass(frozen=True, eq=False)
class BuiltinStudy:
    """What was written. files: every DICOM file; images: the CT slices in order of rising z. isocentre_mm: centroid of
    all targets, LPS. truth: for today the .npz with the displacement (see `write_study`), None for the reference."""

    case: BuiltinCase
    day: Day
    files: tuple[Path, ...]
    identity: Identity
    frame_of_reference_uid: str
    images: tuple[SourceObject, ...]
    structure_set: SourceObject
    grid: Grid
    isocentre_mm: tuple[float, float, float]
    truth: Path | None


def write_study(
    name: str, folder: Path, *, day: Day, uid_seed: str | None = None, contrast: bool = False, dated: str = ""
) -> BuiltinStudy:
    """Writes CT_0001.dcm … and RS.dcm of case `name` into `folder`, which must be new or empty.

    Both days have the patient of the case, and each its own study, series and frame of reference; uid_seed makes UIDs
    and times, and so every byte, reproducible. Voxels and noise are the same at every call. contrast: structures have
    values of their own (CONTRAST_HU), so that a registration sees them; else all is water, as the report has it. dated:
    YYYYMMDD in the place of the day's synthetic date.

    Today's truth lies beside the folder, so that the folder holds DICOM only: FOLDER.truth.npz with `displacement_mm`
    (z, y, x, 3) float32, the way in LPS mm from the centre of each of today's voxels to the point of the reference it
    shows, `origin_mm` and `spacing_mm` (x, y, z) of that grid, and `rigid` (4, 4), the part that is a set-up shift;
    FOLDER.truth.json says the same in closed form. Where a target also shrank, its surface lies inside the deformed
    one by the amount given there.

    Raises RefusedInput for an unknown case or a folder in use, DiskFull, WriteFailed.
    """
    case = CASES.get(name)
    if case is None:
        raise RefusedInput(f"There is no built-in case '{name}'; choose one of {', '.join(CASES)}")
    refuse_used_folder(folder)
    stamp = Stamp(f"{name}/{day}", uid_seed)
    writer = StudyWriter(
        folder, _identity(case, day, stamp, dated or STUDY_DATES[day]), stamp.uid("frame-of-reference"), stamp
    )
    solids = case.solids()
    grid = _grid(case, solids["External"])
    structures = _structures(case, solids, grid, day)
    hu = _hounsfield(structures[0].voxels, grid, f"{name}/{day}")
    if contrast:
        hu += _contrast(structures, grid)
    images = writer.write_images(Image(grid, hu), f"{case.title}, {day}")
    structure_set = writer.write_structures(
        structures, images, label=f"{case.name} {day}"[:16], description=_in_words(case, day, contrast=contrast)
    )
    return BuiltinStudy(
        case=case,
        day=day,
        files=(*(image.path for image in images), structure_set.path),
        identity=writer.identity,
        frame_of_reference_uid=writer.frame_of_reference_uid,
        images=images,
        structure_set=structure_set,
        grid=grid,
        isocentre_mm=_centroid_of_targets(structures, grid),
        truth=_write_truth(case, grid, folder) if day == "today" else None,
    )


def _identity(case: BuiltinCase, day: Day, stamp: Stamp, dated: str) -> Identity:
    return Identity(
        patient_id=case.patient_id,
        patient_name=case.patient_name,
        birth_date="",
        sex="O",
        study_instance_uid=stamp.uid("study"),
        study_id="REFERENCE" if day == "reference" else "TODAY",
        study_date=dated,
        study_time=STUDY_TIME,
        study_description=f"{case.title}, {day}",
    )


def _grid(case: BuiltinCase, external: Solid) -> Grid:
    """Both days share it, as a couch and a scan protocol would. In-plane a voxel centre lies at 0."""
    spacing = (PIXEL_MM, PIXEL_MM, case.slice_mm)
    first, count = [], []
    for axis, step in enumerate(spacing):
        half = max(-external.lower_mm[axis], external.upper_mm[axis]) + AIR_MM[axis]
        if axis == 2 and not case.slice_on_zero:
            steps = int(np.ceil(half / step))
            first.append((0.5 - steps) * step)
            count.append(2 * steps)
        else:
            steps = int(np.ceil(half / step))
            first.append(-steps * step)
            count.append(2 * steps + 1)
    return Grid((first[0], first[1], first[2]), spacing, (count[2], count[1], count[0]))


def _structures(case: BuiltinCase, solids: Mapping[str, Solid], grid: Grid, day: Day) -> tuple[Structure, ...]:
    """External first."""
    deformation = case.deformation if day == "today" else Deformation()
    structures = []
    for number, (name, solid) in enumerate(solids.items(), start=1):
        shrink_mm = case.shrink_mm.get(name, 0.0) if day == "today" else 0.0
        drawing = draw(solid, grid, deformation, shrink_mm=shrink_mm)
        structures.append(Structure(number, name, name, kind_of(name), drawing.contours, drawing.voxels, COLOURS[name]))
    return tuple(structures)


def _hounsfield(external: VoxelSet, grid: Grid, noise_seed: str) -> NDArray[np.int16]:
    """Water in air, mixed where the outline cuts a voxel, with noise in proportion to what is water."""
    water = external.dense(grid.shape)
    noise = np.random.default_rng(list(noise_seed.encode())).standard_normal(grid.shape, np.float32)
    return np.rint(AIR_HU * (1 - water) + np.float32(NOISE_HU) * water * noise).astype(np.int16)


def _contrast(structures: tuple[Structure, ...], grid: Grid) -> NDArray[np.int16]:
    """HU to add. Organs over targets, as they are drawn apart from them."""
    added = np.zeros(grid.shape, np.float32)
    for kind in (StructureKind.TARGET, StructureKind.ORGAN):
        for structure in (item for item in structures if item.kind is kind):
            share = structure.voxels.dense(grid.shape)
            added += share * (CONTRAST_HU[structure.name.split("_")[0]] - added)
    return np.rint(added).astype(np.int16)


def _in_words(case: BuiltinCase, day: Day, *, contrast: bool) -> str:
    difference = f" {case.today}" if day == "today" else ""
    seen = " Structures differ from water by up to 120 HU, so that they can be seen." if contrast else ""
    return f"{case.description} {case.provenance}{seen}{difference}"


def _centroid_of_targets(structures: tuple[Structure, ...], grid: Grid) -> tuple[float, float, float]:
    targets = [structure.voxels for structure in structures if structure.kind is StructureKind.TARGET]
    index = np.concatenate([target.index for target in targets])
    weight = np.concatenate([target.fraction for target in targets])
    x, y, z = np.average(grid.centres_mm(index).astype(np.float64), axis=0, weights=weight).tolist()
    return (x, y, z)


def _write_truth(case: BuiltinCase, grid: Grid, folder: Path) -> Path:
    """Writes the closed form and the field; returns the path of the field. Raises WriteFailed."""
    deformation = case.deformation
    rigid = np.eye(4)
    rigid[:3, 3] = deformation.shift_mm
    in_words = {
        "case": case.name,
        "meaning": "reference = today + shift + sum of amplitude * exp(-|today - centre|^2 / (2 sigma^2)); LPS, mm",
        "today": case.today,
        "shift_mm": deformation.shift_mm,
        "bumps": [
            {"centre_mm": bump.centre_mm, "amplitude_mm": bump.amplitude_mm, "sigma_mm": bump.sigma_mm}
            for bump in deformation.bumps
        ],
        "surface_moved_inwards_mm": dict(case.shrink_mm),
    }
    path = folder.with_name(f"{folder.name}.truth.npz")
    try:
        folder.with_name(f"{folder.name}.truth.json").write_text(json.dumps(in_words, indent=2) + "\n", "utf-8")
        np.savez(
            path,
            displacement_mm=deformation.field_mm(grid),
            rigid=rigid,
            origin_mm=np.asarray(grid.origin_mm),
            spacing_mm=np.asarray(grid.spacing_mm),
        )
    except OSError as error:
        raise WriteFailed(f"{path} ({error.strerror or error})") from error
    return path
