"""Good and bad days for registration_levels.py, and what every quality measure says of each."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import numpy as np
from registration_problem import SimulatedDay, carried, simulated, target_of, truth_of

from appliance.builtin.daily import AIR_HU, Anatomy, flipped_head_feet, flipped_left_right
from appliance.builtin.deformation import Bump, Deformation
from engines.errors import EngineError
from engines.grid import Grid
from engines.registration import (
    BACKWARD,
    DisplacementField,
    RigidTransform,
    Scan,
    found_in_fixed,
    quality_of,
    register_deformable,
    register_rigid,
)
from engines.registration.orientation import orientations

GOOD = (
    ("bumps", "CT"),
    ("weight loss", "CT"),
    ("tumour shrinks", "gas came"),
    ("all", "CT"),
    ("all", "cone beam"),
)
BAD = ("other patient", "left-right", "head-feet", "misses target", "wrong vertebra", "torn field")
VERTEBRA_MM = 18.0


def mixed_up(day: SimulatedDay, kind: str, other: Anatomy) -> Scan:
    """Today's image as something went wrong with it."""
    scan = day.fixed
    if kind == "other patient":
        return Scan(np.where(other.masks["External"], other.hu, AIR_HU), other.grid, other.masks["External"])
    if kind == "left-right":
        return replace(scan, hu=flipped_left_right(scan.hu), body=flipped_left_right(scan.body))
    if kind == "head-feet":
        return replace(scan, hu=flipped_head_feet(scan.hu), body=flipped_head_feet(scan.body))
    if kind == "misses target":
        held = np.nonzero(day.anatomy.masks[target_of(day.anatomy)].any(axis=(1, 2)))[0]
        middle = int(held.mean())
        below, above = middle, scan.grid.shape[0] - middle
        part = slice(0, middle) if below > above else slice(middle, None)
        shape = scan.grid.shape
        grid = scan.grid.cropped((part.start, 0, 0), (part.stop or shape[0], shape[1], shape[2]))
        return replace(scan, hu=scan.hu[part], grid=grid, body=scan.body[part])
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
        field = register_deformable(fixed, day.moving, start=start)
        if kind == "torn field":
            field = torn(field, fixed.body, fixed.grid, seed)
        back = register_deformable(day.moving, fixed, start=start.inverse, options=BACKWARD)
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


def likeness(filled: np.ndarray, fixed: Scan, moving: Scan, start: RigidTransform) -> dict:
    found = orientations(filled, fixed.grid, moving.hu, moving.grid, start=start)
    return {"own": found.as_it_is.likeness, "swapped": max(found.swapped.values())}
