"""Numbers that describe an anatomy: sizes, places, shapes and CT of masks on one grid.

All arrays are (z, y, x) in DICOM LPS: z grows to superior, y to posterior, x to patient left. Lengths in mm, volumes in
cm3, CT in HU, shares between 0 and 1. A number that cannot be had (a mask that is empty, no CT) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
AXES = ("z", "y", "x")
AIR_HU, EMPTY_HU = -500.0, -900.0
"""Below: mostly air (lungs too), and air alone. Chosen: half water and air, and near air's -1000."""
BONE_HU = 200.0
"""Above: bone or contrast (chosen: above every soft tissue)."""
SOFT_HU = 150.0
"""Soft tissue lies within this of water (chosen: fat at -100 and contrast-free muscle at 60 are inside)."""


def box_of(mask: Mask) -> tuple[slice, slice, slice]:
    """The smallest box around a mask. Raises EngineError for an empty one."""
    sides = []
    for axis in range(3):
        seen = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(seen):
            raise EngineError("an empty mask has no box")
        sides.append(slice(int(seen[0]), int(seen[-1]) + 1))
    return sides[0], sides[1], sides[2]


def volume_cc(mask: Mask, spacing_mm: Spacing) -> float:
    return float(np.count_nonzero(mask)) * math.prod(spacing_mm) / 1000.0


def extent_mm(mask: Mask, spacing_mm: Spacing) -> dict[str, float]:
    """Length of the box around a mask along each axis."""
    box = box_of(mask) if mask.any() else None
    return {
        name: (box[axis].stop - box[axis].start) * spacing_mm[axis] if box else math.nan
        for axis, name in enumerate(AXES)
    }


def centre_mm(mask: Mask, spacing_mm: Spacing) -> NDArray[np.float64]:
    """Centroid (3,) from the first voxel's centre; NaN for an empty mask."""
    total = np.count_nonzero(mask)
    if not total:
        return np.full(3, np.nan)
    # Two sums of the whole array instead of three: the third profile comes from the first projection.
    plane, depth = mask.sum(axis=0, dtype=np.int64), np.count_nonzero(mask, axis=(1, 2))
    profiles = (depth, plane.sum(1), plane.sum(0))
    return np.array([float(p @ np.arange(len(p))) / total * s for p, s in zip(profiles, spacing_mm, strict=True)])


def surface_mm2(mask: Mask, spacing_mm: Spacing) -> float:
    """Area of the voxel faces between inside and outside; the array's border counts as outside."""
    area = 0.0
    for axis in range(3):
        face = math.prod(spacing_mm) / spacing_mm[axis]
        rim = np.take(mask, 0, axis).sum() + np.take(mask, -1, axis).sum()
        area += face * float(np.count_nonzero(np.diff(mask, axis=axis)) + rim)
    return area


def raggedness(mask: Mask, spacing_mm: Spacing) -> float:
    """Voxel surface over that of a cube of the same volume: 1 for a cube, larger for the thin, branched or broken."""
    volume = float(np.count_nonzero(mask)) * math.prod(spacing_mm)
    return surface_mm2(mask, spacing_mm) / (6.0 * volume ** (2.0 / 3.0)) if volume else math.nan


def share_inside(mask: Mask, other: Mask) -> float:
    """Of mask, the share that is in other."""
    total = np.count_nonzero(mask)
    return float(np.count_nonzero(mask & other)) / total if total else math.nan


def near_surface(mask: Mask, body: Mask) -> float:
    """Of mask, the share of voxels that are in the outermost layer of body: one of six neighbours is not in it."""
    inner = body.copy()
    for axis in range(3):
        for step in (1, -1):
            moved = np.roll(body, step, axis)
            edge: list[slice | int] = [slice(None)] * 3
            edge[axis] = 0 if step == 1 else -1
            moved[tuple(edge)] = False
            inner &= moved
    total = np.count_nonzero(mask)
    return float(np.count_nonzero(mask & body & ~inner)) / total if total else math.nan


def ct_facts(body: Mask, targets: Mask, ct_hu: NDArray[np.float32]) -> dict[str, float]:
    """Shares of air, emptiness and bone in the body, of air in the targets, and median and spread (half of the 16 to
    84 % range) of soft tissue."""
    inside, aimed = ct_hu[body], ct_hu[targets]
    soft = inside[np.abs(inside) < SOFT_HU]
    low, middle, high = np.quantile(soft, (0.16, 0.5, 0.84)) if len(soft) else (np.nan,) * 3
    return {
        "air_share": _share(inside < AIR_HU), "empty_share": _share(inside < EMPTY_HU),
        "bone_share": _share(inside > BONE_HU), "target_air_share": _share(aimed < AIR_HU),
        "soft_share": len(soft) / len(inside) if len(inside) else math.nan,
        "soft_median_hu": float(middle), "soft_spread_hu": float(high - low) / 2.0,
    }  # fmt: skip


def organ_facts(organ: Mask, target: Mask, target_centre: NDArray[np.float64], spacing_mm: Spacing) -> dict[str, float]:
    """Volume, length along the body, share inside the targets, and place relative to the targets' centroid."""
    offset = centre_mm(organ, spacing_mm) - target_centre
    return {
        "volume_cc": volume_cc(organ, spacing_mm),
        "length_z_mm": extent_mm(organ, spacing_mm)["z"],
        "in_target_share": share_inside(organ, target),
    } | {f"offset_{axis}_mm": float(offset[n]) for n, axis in enumerate(AXES)}


def checked(arrays: Mapping[str, NDArray[np.generic]], spacing_mm: Spacing) -> None:
    """Raises EngineError unless all arrays share one three-dimensional shape and spacing is positive."""
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise EngineError(f"masks and CT do not share one grid: {sorted(shapes)}")
    if not all(math.isfinite(side) and side > 0 for side in spacing_mm):
        raise EngineError(f"spacing {spacing_mm} mm is not positive")


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(chosen)) / len(chosen) if len(chosen) else math.nan
