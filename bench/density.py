"""How far the densities that dose is computed on are from the truth, for each way to make them, on OpenKBP patients
with made-up cone-beam images (day_problem.py) and registrations that are off by a known amount.

    ./build.sh bench density [--patients 20] [--folder shared/openkbp] [--off-mm 4] [--artefacts usual]
        [--field-mm 110]

Prints the medians over patients of: mean absolute and mean error of HU in the body; mean and 95th percentile of the
error of the water-equivalent length from the skin to the target's middle, over 24 gantry angles in three slices, mm;
and the largest 95th percentile. off-mm: largest error of the registration, a smooth random field of 25 mm standard
deviation. field-mm: radius of the circle that the image is reconstructed in; then only ways that fill up are shown."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from day_problem import (
    MILD,
    SHARED,
    STRONG,
    USUAL,
    Day,
    added,
    bend,
    body_of_patient,
    cone_beam,
    cut_to_circle,
    day_of,
    image_of,
    patients,
    reference_of,
)
from scipy.ndimage import map_coordinates

from appliance.builtin.packed import PackedPatient
from appliance.case.today.density import density_map
from appliance.case.today.modality import Imaging
from appliance.case.today.near_hounsfield import image_for_registration
from appliance.case.today.seen import seen_region
from appliance.config import AnatomyConfig
from appliance.errors import InconsistentCase
from appliance.planning.density import load_density
from engines.calibration import matched
from engines.grid import Grid, box_within
from engines.registration import found_in_fixed

KINDS = {"mild": MILD, "usual": USUAL, "strong": STRONG}
STEP_MM, REACH_MM = 2.0, 350.0
PHANTOM = ((-1000.0, -1000.0), (0.0, 0.0), (1000.0, 1000.0))
"""What a phantom would say of an imager without errors of scale: the values as they are."""


@dataclass(frozen=True)
class Setting:
    """Of the command line."""

    off_mm: float
    artefacts: str
    field_mm: float


def ways(
    day: Day, name: str, patient: PackedPatient, setting: Setting, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """HU (z, y, x) of each way, on the day's grid, air outside the body that it found itself."""
    body = body_of_patient(patient)
    reference = reference_of(name, patient, body)
    off = bend(day.grid, rng, setting.off_mm, 25.0)
    field = added(day.field, off, day.grid)
    values = cone_beam(day, KINDS[setting.artefacts], rng)
    values = cut_to_circle(values, day.grid, setting.field_mm) if setting.field_mm else values
    today = image_of(name, values, day.grid, Imaging.CBCT)
    seen = seen_region(reference, today, field)
    raw = today.series.image.hu
    inside = field.pulled(body, day.grid, day.grid, outside=0.0) > 0.5
    deformed = field.pulled(np.where(body, patient.hu, np.int16(-1000)), day.grid, day.grid, outside=-1000.0)
    curve, _ = matched(raw, deformed, np.ones(day.grid.shape, np.bool_))
    made = {
        "as sent": raw.astype(np.float32),
        "two peaks": image_for_registration(reference, today, AnatomyConfig()).astype(np.float32),
        "cumulative histogram": _by_histogram(raw, deformed, inside),
        "tissue medians": curve.hu(raw),
        "deformed alone": deformed,
    }
    if setting.field_mm:
        made = {}
    settings = {
        "calibrated": AnatomyConfig(cbct_density="calibrated"),
        "by a phantom": AnatomyConfig(cbct_density="calibrated", phantom_points=PHANTOM),
        "deformed, today's outline and gas": AnatomyConfig(cbct_density="deformed"),
    }
    for title, configured in settings.items():
        try:
            result = density_map(reference, today, field, seen=seen, settings=configured)
        except InconsistentCase as error:
            print(f"  {name}, {title}: refused, {error.fields['reason']}")
            continue
        made[title] = result.image.hu[box_within(day.grid, result.image.grid)]
    return {title: np.where(day.body, hu, -1000.0) if "deformed" not in title else hu for title, hu in made.items()}


def _by_histogram(raw: np.ndarray, reference_hu: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The curve that gives both images one cumulative histogram within the body."""
    shares = np.linspace(0.5, 99.5, 100)
    return np.interp(raw, np.percentile(raw[inside], shares), np.percentile(reference_hu[inside], shares))


def lengths_mm(hu: np.ndarray, grid: Grid, middle_mm: np.ndarray) -> np.ndarray:
    """Water-equivalent lengths from outside to the middle, for 24 directions in three slices 20 mm apart."""
    density = load_density("schneider2000").density(np.rint(hu).astype(np.int16), "electron_density")
    density = np.where(hu < -990, np.float32(0), density)
    along = np.arange(0.0, REACH_MM, STEP_MM)
    found = []
    for height_mm in (-20.0, 0.0, 20.0):
        for angle in np.radians(np.arange(0, 360, 15)):
            points = middle_mm + np.outer(along, (np.sin(angle), -np.cos(angle), 0.0)) + (0.0, 0.0, height_mm)
            index = (points - np.asarray(grid.origin_mm)) / np.asarray(grid.spacing_mm)
            found.append(map_coordinates(density, index.T[::-1], order=1, mode="constant").sum() * STEP_MM)
    return np.asarray(found)


def errors(hu: np.ndarray, day: Day, truth_mm: np.ndarray, middle_mm: np.ndarray) -> tuple[float, ...]:
    off = (hu - day.truth_hu)[day.body]
    length = np.abs(lengths_mm(hu, day.grid, middle_mm) - truth_mm)
    return float(np.abs(off).mean()), float(off.mean()), float(length.mean()), float(np.percentile(length, 95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--off-mm", type=float, default=4.0)
    parser.add_argument("--field-mm", type=float, default=0.0)
    parser.add_argument("--artefacts", choices=KINDS, default="usual")
    options = parser.parse_args()
    if not options.folder.is_dir():
        sys.exit(f"The OpenKBP patients are not at {options.folder}; name their folder with --folder")
    setting = Setting(options.off_mm, options.artefacts, options.field_mm)
    table: dict[str, list[tuple[float, ...]]] = {}
    began = time.process_time()
    for number, (name, patient) in enumerate(patients(options.patients, options.folder)):
        rng = np.random.default_rng(number)
        day = day_of(patient, body_of_patient(patient), rng, most_mm=float(rng.uniform(3, 12)))
        target = next(patient.masks[key] for key in ("PTV_7000", "PTV_6300", "PTV_5600") if key in patient.masks)
        middle = day.grid.centres_mm(np.flatnonzero(target)).mean(axis=0, keepdims=True)
        middle_mm = found_in_fixed(day.field, middle)[0]
        truth_mm = lengths_mm(day.truth_hu, day.grid, middle_mm)
        for title, hu in ways(day, name, patient, setting, rng).items():
            table.setdefault(title, []).append(errors(hu, day, truth_mm, middle_mm))
    print(f"{'':34s}  mean |HU|  mean HU   length mm   95 %   largest 95 %     n")
    for title, found in table.items():
        absolute, mean, length, most = np.median(np.array(found), axis=0)
        largest = max(row[3] for row in found)
        print(f"{title:34s} {absolute:9.1f} {mean:8.1f} {length:10.2f} {most:7.2f} {largest:12.2f} {len(found):8d}")
    print(f"{(time.process_time() - began) / options.patients:.1f} CPU s a patient")


if __name__ == "__main__":
    main()
