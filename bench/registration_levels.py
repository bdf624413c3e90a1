"""What the action levels of a registration catch and miss, on simulated days with known truth.

    python bench/registration_levels.py --out DIR [--patients 195 49 ...] [--threads 1]
    python bench/registration_levels.py --out DIR --report

Per patient: five good days (bumps; weight loss; shrinking tumour with gas that came; all at once; all at once on a
cone-beam CT) and six bad ones: another patient's image; left and right swapped; head and feet swapped; an image that
ends before the target; a rigid start one vertebra (18 mm) off along the spine; a field with errors of up to 12 mm put
into it. Of each every quality measure is kept in DIR/cases.jsonl, with the truth; a case that is there is not run
again. The report applies the levels of appliance/case/today/levels.py and the rules by likeness and missed target
(docs/today.md) to what was kept: sensitivity (bad days stopped, and stopped or flagged), specificity (good days not
flagged), each with its 95 % Wilson interval, and which measure caught what. Patients at even places of the list were
used to choose the levels, the others are reported.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from registration_problem import SimulatedDay, patient, simulated, target_of, truth_of

from appliance.builtin.daily import Anatomy, flipped_head_feet, flipped_left_right
from appliance.builtin.deformation import Bump, Deformation
from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.registration import (
    DeformableOptions,
    DisplacementField,
    Intensities,
    RigidTransform,
    Scan,
    found_in_fixed,
    quality_of,
    register_deformable,
    register_rigid,
)
from engines.registration.orientation import orientations

PATIENTS = (195, 49, 166, 108, 16, 86, 164, 197, 137, 171, 70, 118)
GOOD = (
    ("bumps", "CT"),
    ("weight loss", "CT"),
    ("tumour shrinks", "gas came"),
    ("all", "CT"),
    ("all", "cone beam"),
)
BAD = ("other patient", "left-right", "head-feet", "misses target", "wrong vertebra", "torn field")
VERTEBRA_MM = 18.0
BACKWARD_SPACING_MM = 4.5
AIR_HU = -1000.0


def mixed_up(day: SimulatedDay, kind: str, other: Anatomy) -> Scan:
    """Today's image as something went wrong with it."""
    scan = day.fixed
    if kind == "other patient":
        return Scan(np.where(other.masks["External"], other.hu, AIR_HU), other.grid, other.masks["External"])
    if kind == "left-right":
        return Scan(flipped_left_right(scan.hu), scan.grid, flipped_left_right(scan.body))
    if kind == "head-feet":
        return Scan(flipped_head_feet(scan.hu), scan.grid, flipped_head_feet(scan.body))
    if kind == "misses target":
        held = np.nonzero(day.anatomy.masks[target_of(day.anatomy)].any(axis=(1, 2)))[0]
        middle = int(held.mean())
        below, above = middle, scan.grid.shape[0] - middle
        part = slice(0, middle) if below > above else slice(middle, None)
        shape = scan.grid.shape
        grid = scan.grid.cropped((part.start, 0, 0), (part.stop or shape[0], shape[1], shape[2]))
        return Scan(scan.hu[part], grid, scan.body[part])
    return scan


def torn(field: DisplacementField, body: np.ndarray, grid: Grid, seed: int) -> DisplacementField:
    random = np.random.default_rng(seed)
    inside = grid.centres_mm(np.flatnonzero(body))
    bumps = []
    for _ in range(3):
        way = random.standard_normal(3)
        way *= 12.0 / np.linalg.norm(way)
        centre = inside[int(random.integers(len(inside)))].tolist()
        bumps.append(Bump(tuple(centre), tuple(way.tolist()), 20.0))
    wrong = Deformation(bumps=tuple(bumps)).field_mm(field.grid)
    return DisplacementField(field.grid, field.displacement_mm + wrong)


def run_case(reference: Anatomy, other: Anatomy, scenario: str, image: str, kind: str, seed: int) -> dict:
    """Figures of one case; kind '' for a good day."""
    day = simulated(reference, scenario, image, seed)
    fixed = mixed_up(day, kind, other)
    began = time.process_time()
    row: dict = {}
    try:
        filled = np.nan_to_num(fixed.hu, nan=AIR_HU)
        start = register_rigid(filled, fixed.grid, reference.hu, reference.grid)
        if kind == "wrong vertebra":
            start = RigidTransform(RigidTransform.of((0.0, 0.0, VERTEBRA_MM)).matrix @ start.matrix)
        row["likeness"] = likeness(filled, fixed, day.moving, start)
        options = DeformableOptions(intensities=Intensities.SHADED if day.is_shaded else Intensities.SAME)
        field = register_deformable(fixed, day.moving, start=start, options=options)
        if kind == "torn field":
            field = torn(field, fixed.body, fixed.grid, seed)
        back_options = DeformableOptions(intensities=options.intensities, spacing_mm=BACKWARD_SPACING_MM)
        back = register_backward(fixed, day.moving, start, back_options)
        organs = carried(reference, field, fixed.grid)
        quality = quality_of(fixed, day.moving, field, start=start, backward=back, organs=organs)
    except EngineError as error:
        return {**row, "refused": str(error), "cpu_s": time.process_time() - began}
    points = reference.grid.centres_mm(np.flatnonzero(reference.masks[target_of(reference)])[::7]).astype(np.float64)
    index = (found_in_fixed(field, points) - np.asarray(fixed.grid.origin_mm)) / np.asarray(fixed.grid.spacing_mm)
    held = np.all((index > -0.5) & (index < np.asarray(fixed.grid.shape[::-1]) - 0.5), axis=1)
    row |= {"target_shown": float(held.mean()), "quality": asdict(quality), "cpu_s": time.process_time() - began}
    if kind in ("", "torn field", "wrong vertebra"):
        row["truth"] = asdict(truth_of(day, field))
    return row


def register_backward(
    fixed: Scan, moving: Scan, start: RigidTransform, options: DeformableOptions
) -> DisplacementField:
    return register_deformable(moving, fixed, start=start.inverse, options=options)


def likeness(filled: np.ndarray, fixed: Scan, moving: Scan, start: RigidTransform) -> dict:
    found = orientations(filled, fixed.grid, moving.hu, moving.grid, start=start)
    return {"own": found.as_it_is.likeness, "swapped": max(found.swapped.values())}


def carried(reference: Anatomy, field: DisplacementField, grid: Grid) -> dict[str, VoxelSet]:
    found = {}
    for name, mask in reference.masks.items():
        dense = field.pulled(mask.astype(np.float32), reference.grid, grid, outside=0.0) >= 0.5
        if name != "External" and dense.any():
            found[name] = VoxelSet.from_dense(dense.astype(np.float32))
    return found


def cases(patients: list[int]) -> Iterator[tuple[int, int, str, str, str]]:
    """(patient, number of the case, scenario, image, kind), good and bad ones of all patients in turn."""
    kinds = [*((scenario, image, "") for scenario, image in GOOD), *(("all", "CT", kind) for kind in BAD)]
    order = [5, 3, 9, 0, 6, 4, 10, 1, 8, 2, 7]
    for place in order:
        for number in patients:
            yield (number, place, *kinds[place])


def run(arguments: argparse.Namespace) -> None:
    out = arguments.out / "cases.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["patient"], row["place"]) for row in read(out)} if out.exists() else set()
    for number, place, scenario, image, kind in cases(arguments.patients):
        if (number, place) in done:
            continue
        following = arguments.patients[(arguments.patients.index(number) + 1) % len(arguments.patients)]
        row = run_case(patient(number), patient(following), scenario, image, kind, 100 * number + place)
        row |= {"patient": number, "place": place, "scenario": scenario, "image": image, "kind": kind}
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, nargs="+", default=list(PATIENTS))
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    run(arguments)


if __name__ == "__main__":
    main()
