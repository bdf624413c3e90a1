"""Both images brought onto each other: rigidly always, deformably where contours are made of it; and how well."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from appliance.case.today.levels import measures
from appliance.case.today.modality import Imaging
from appliance.case.today.reading import Day
from appliance.case.today.rules import refusal
from appliance.contracts.anatomy import Measure
from appliance.contracts.progress import Progress
from engines.calibration import circle_seen
from engines.errors import EngineError
from engines.grid import VoxelSet
from engines.registration import (
    AIR_HU,
    BACKWARD,
    METHOD,
    DisplacementField,
    Intensities,
    RegistrationQuality,
    RigidTransform,
    Scan,
    quality_of,
    register_deformable,
    register_rigid,
)

INTENSITIES = {Imaging.CT: Intensities.SAME, Imaging.CBCT: Intensities.SHADED, Imaging.MR: Intensities.OTHER}


@dataclass(frozen=True, eq=False)
class Registered:
    """Both take points of today to the reference. field: with the rigid motion in it; where no deformation was asked
    for that motion alone, and method is ''. pair: what was registered, today's and the reference's."""

    rigid: RigidTransform
    field: DisplacementField
    method: str
    pair: tuple[Scan, Scan]
    backward: DisplacementField | None = None


def _scan_of(day: Day, imaging: Imaging = Imaging.CT) -> Scan:
    """Nothing beyond a circle of reconstruction."""
    scan = Scan.inside(day.hu, day.grid, day.body.mask(day.grid.shape))
    hu, body = scan.hu, scan.body
    if (circle := circle_seen(day.series.image.hu, day.grid)) is not None:
        hu[:, ~circle] = np.nan
        body = body & circle
    return Scan(hu, day.grid, body, INTENSITIES[imaging])


def registered(
    today: Day,
    reference: Day,
    progress: Progress,
    *,
    is_deformable: bool,
    imaging: Imaging = Imaging.CT,
    start: RigidTransform | None = None,
) -> Registered:
    """imaging: of today's image. start: where the rigid search begins, if that is known. Raises InconsistentCase
    `day.no-overlap` where the images cannot be brought onto each other."""
    fixed, moving = pair = _scan_of(today, imaging), _scan_of(reference)
    try:
        progress("rigid registration", 0.0)
        rigid = register_rigid(np.nan_to_num(fixed.hu, nan=AIR_HU), fixed.grid, moving.hu, moving.grid, start=start)
        if not is_deformable:
            return Registered(rigid, DisplacementField.of_rigid(rigid, today.grid), "", pair)
        told = lambda done: progress("deformable registration", done)  # noqa: E731
        # At once: much of either runs on one core.
        with ThreadPoolExecutor(1) as other:
            turned = None
            if imaging is not Imaging.MR:
                turned = other.submit(register_deformable, moving, fixed, start=rigid.inverse, options=BACKWARD)
            field = register_deformable(fixed, moving, start=rigid, progress=told)
            backward = None if turned is None else turned.result()
    except EngineError as error:
        raise refusal("day.no-overlap", f"it cannot be brought onto the reference: {error}") from error
    return Registered(rigid, field, METHOD, pair, backward)


def judged(found: Registered, organs: dict[str, VoxelSet]) -> tuple[RegistrationQuality, tuple[Measure, ...]]:
    """organs: today's, by name. A rigid motion alone has no measures: their levels are of deformed anatomy. Raises
    InconsistentCase `day.no-overlap`."""
    try:
        quality = quality_of(*found.pair, found.field, start=found.rigid, backward=found.backward, organs=organs)
    except EngineError as error:
        raise refusal("day.no-overlap", f"it cannot be compared with the reference: {error}") from error
    return quality, tuple(measures(quality)) if found.method else ()
