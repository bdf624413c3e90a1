"""Whether an image shows the anatomy of another as it lies, mirrored or turned round: by trying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid, resample, shrunk
from engines.registration.blocks import LIMITS_HU, Matching, Values, match
from engines.registration.transform import RigidTransform

AS_IT_IS = "as it is"
LEFT_RIGHT = "left and right swapped"
OTHERS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "head and feet swapped": (0,),
        "front and back swapped": (1,),
        "turned about the long axis": (1, 2),
        "turned from head to feet, on the same side": (0, 1),
        "turned from head to feet, on the other side": (0, 2),
        "swapped along every axis": (0, 1, 2),
    }
)
"""Axes (z, y, x) along which the image is reversed."""

STEP_MM, COARSE_MM = 5.0, 10.0
"""Voxels that blocks are compared on, and that the place to start from is looked for on (chosen: at 5 mm a patient is
told from the own mirror image, bench/day_match.py, in less than a second)."""

START_STEP_MM, START_REACH_MM = 16.0, 96.0
"""Starts along the patient (chosen: two images of one region may begin and end at different heights)."""

LEAST_SHARED = 0.3
"""Part of the smaller body that a start must leave in both images."""

REACH_VOXELS, ROUNDS = 2, 3
"""Of the search for each block: 10 mm to each side, which is what bends within a patient, after three rigid fits."""

BODY_ABOVE_HU = -500.0
"""Half water: denser is body."""


@dataclass(frozen=True, eq=False)
class Orientations:
    """as_it_is: how the images match as they lie. swapped: likeness of the image with left and right swapped and of
    the likeliest other orientation, by name."""

    as_it_is: Matching
    swapped: Mapping[str, float]


def orientations(
    fixed_hu: NDArray[np.generic],
    fixed: Grid,
    moving_hu: NDArray[np.generic],
    moving: Grid,
    *,
    start: RigidTransform | None = None,
) -> Orientations:
    """How alike the images are as they lie and with the fixed one reversed.

    fixed_hu, moving_hu: (z, y, x) HU, or values in proportion to them, air (-1000) outside the body; the fixed one NaN
    where it shows nothing. start: the known motion from the fixed frame to the moving one, where there is one. Raises
    EngineError if an image has no body or the images as they lie cannot be compared at all; an orientation that cannot
    be compared counts as unlike (0)."""
    values, grid = shrunk(fixed_hu, fixed, STEP_MM, limits=LIMITS_HU)
    other = shrunk(moving_hu, moving, STEP_MM, limits=LIMITS_HU)
    coarse = shrunk(*other, COARSE_MM)
    first = start or _start((values, grid), coarse)[0]
    as_it_is = match((values, grid), other, first, reach=REACH_VOXELS, rounds=ROUNDS)
    likeliest = max(OTHERS, key=lambda name: _start((np.flip(values, OTHERS[name]), grid), coarse)[1])
    swapped = {
        name: _likeness((np.ascontiguousarray(np.flip(values, axes)), grid), other, coarse)
        for name, axes in ((LEFT_RIGHT, (2,)), (likeliest, OTHERS[likeliest]))
    }
    return Orientations(as_it_is, MappingProxyType(swapped))


def _likeness(fixed: tuple[Values, Grid], moving: tuple[Values, Grid], coarse: tuple[Values, Grid]) -> float:
    try:
        return match(fixed, moving, _start(fixed, coarse)[0], reach=REACH_VOXELS, rounds=ROUNDS).likeness
    except EngineError:
        return 0.0


def _start(fixed: tuple[Values, Grid], coarse: tuple[Values, Grid]) -> tuple[RigidTransform, float]:
    """The shift that lays the bodies' middles on each other, moved along the patient to where both fit best, and the
    correlation there."""
    values, grid = shrunk(*fixed, COARSE_MM)
    body, there_body = values > BODY_ABOVE_HU, coarse[0] > BODY_ABOVE_HU
    if not body.any() or not there_body.any():
        raise EngineError("an image to be compared holds no body")
    shift = _middle_mm(there_body, coarse[1]) - _middle_mm(body, grid)
    least = LEAST_SHARED * min(body.sum() * grid.voxel_volume_cc, there_body.sum() * coarse[1].voxel_volume_cc)
    best, best_score = RigidTransform.of(tuple(shift)), -1.0
    for along_mm in sorted(np.arange(-START_REACH_MM, START_REACH_MM + 1, START_STEP_MM), key=abs):
        tried = RigidTransform.of((float(shift[0]), float(shift[1]), float(shift[2] + along_mm)))
        x, y, z = np.asarray(coarse[1].origin_mm) - tried.matrix[:3, 3]
        there = resample(coarse[0], replace(coarse[1], origin_mm=(float(x), float(y), float(z))), grid, outside=np.nan)
        seen = np.isfinite(there) & np.isfinite(values)
        either = seen & (body | (there > BODY_ABOVE_HU))
        if (seen & body & (there > BODY_ABOVE_HU)).sum() * grid.voxel_volume_cc < least:
            continue
        score = _correlation(values[either], there[either])
        if score > best_score:
            best, best_score = tried, score
    return best, best_score


def _correlation(one: Values, other: Values) -> float:
    spread = float(one.std(dtype=np.float64) * other.std(dtype=np.float64))
    return float(np.mean((one - one.mean()) * (other - other.mean()), dtype=np.float64)) / spread if spread > 0 else 0.0


def _middle_mm(body: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    z, y, x = (axis.mean() for axis in np.nonzero(body))
    return np.asarray(np.asarray(grid.origin_mm) + np.asarray(grid.spacing_mm) * np.array((x, y, z)), np.float64)
