"""Both images brought onto each other: rigidly always, deformably where contours are made of it; and how well."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.levels import measures
from appliance.case.today.modality import Imaging
from appliance.case.today.reading import Day
from appliance.case.today.rules import refusal
from appliance.contracts.anatomy import Measure
from appliance.contracts.progress import Progress
from engines.calibration import body_of, circle_seen
from engines.calibration.peaks import two_groups
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

SOFT_HU = 20.0
"""Of what the outline of an MR is filled with (chosen between fat and muscle, nearer to the more frequent one)."""

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
    """Nothing beyond a circle of reconstruction. Raises EngineError for an MR without External that shows no body."""
    seen = imaging is Imaging.MR and day.external is None
    scan = Scan.inside(day.hu, day.grid, _body_on_mr(day) if seen else day.body.mask(day.grid.shape))
    hu, body = scan.hu, scan.body
    if (circle := circle_seen(day.series.image.hu, day.grid)) is not None:
        hu[:, ~circle] = np.nan
        body = body & circle
    return Scan(hu, day.grid, body, INTENSITIES[imaging])


def _body_on_mr(day: Day) -> NDArray[np.bool_]:
    """Roughly, to register by: contours are carried. Air is parted from tissue twice, because fat may be so bright that
    it parts from all the rest the first time; what is dark within is filled up."""
    limit = two_groups(np.minimum(day.hu, two_groups(day.hu)))
    return body_of(np.where(day.hu >= limit, SOFT_HU, AIR_HU), day.grid)


def _for_mean_squares(scan: Scan) -> NDArray[np.floating]:
    """What can be laid on a CT by the differences of values, (z, y, x): of an MR its outline alone, because what is
    bright on it is not dense."""
    if scan.intensities is Intensities.OTHER:
        return np.where(scan.body, np.float32(SOFT_HU), np.float32(AIR_HU))
    return np.asarray(np.nan_to_num(scan.hu, nan=AIR_HU))


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
    try:
        fixed, moving = pair = _scan_of(today, imaging), _scan_of(reference)
        progress("rigid registration", 0.0)
        compared = [_for_mean_squares(scan) for scan in pair]
        rigid = register_rigid(compared[0], fixed.grid, compared[1], moving.grid, start=start)
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
