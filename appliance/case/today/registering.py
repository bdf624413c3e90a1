"""Both images brought onto each other: rigidly always, deformably where contours are made of it; and how well."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from appliance.case.today.levels import measures
from appliance.case.today.reading import Day
from appliance.case.today.rules import refusal
from appliance.contracts.anatomy import Measure
from appliance.contracts.progress import Progress
from engines.errors import EngineError
from engines.grid import VoxelSet
from engines.registration import (
    DisplacementField,
    RegistrationQuality,
    RigidTransform,
    Scan,
    quality_of,
    register_deformable,
    register_rigid,
)
from engines.registration.deformable import METHOD

AIR_HU = -1000.0


@dataclass(frozen=True, eq=False)
class Registered:
    """Both take points of today to the reference. field: with the rigid motion in it; where no deformation was asked
    for that motion alone, and method is ''."""

    rigid: RigidTransform
    field: DisplacementField
    method: str


def scan_of(day: Day) -> Scan:
    """Air outside the outline: couch and mask must not steer."""
    body = day.body.mask(day.grid.shape)
    return Scan(np.where(body, day.hu, np.float32(AIR_HU)).astype(np.float32), day.grid, body)


def registered(today: Day, reference: Day, progress: Progress, *, is_deformable: bool) -> Registered:
    """Raises InconsistentCase `day.no-overlap` where the images cannot be brought onto each other."""
    fixed, moving = scan_of(today), scan_of(reference)
    try:
        progress("rigid registration", 0.0)
        rigid = register_rigid(fixed.hu, fixed.grid, moving.hu, moving.grid)
        if not is_deformable:
            return Registered(rigid, DisplacementField.of_rigid(rigid, today.grid), "")
        told = lambda done: progress("deformable registration", done)  # noqa: E731
        field = register_deformable(fixed, moving, start=rigid, progress=told)
    except EngineError as error:
        raise refusal("day.no-overlap", f"it cannot be brought onto the reference: {error}") from error
    return Registered(rigid, field, METHOD)


def judged(
    today: Day, reference: Day, found: Registered, organs: dict[str, VoxelSet]
) -> tuple[RegistrationQuality, tuple[Measure, ...]]:
    """organs: today's, by name. Raises InconsistentCase `day.no-overlap`."""
    try:
        quality = quality_of(scan_of(today), scan_of(reference), found.field, start=found.rigid, organs=organs)
    except EngineError as error:
        raise refusal("day.no-overlap", f"it cannot be compared with the reference: {error}") from error
    told = (
        one if one.value is None or math.isfinite(one.value) else replace(one, value=None) for one in measures(quality)
    )
    return quality, tuple(told)
