"""How far an organ is from the targets, and how steeply this dose falls with that distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from engines.grid import Grid, VoxelSet

SHELL_MM = 2.0
"""Half width of the shell in which dose is looked at (chosen: about one voxel)."""
STEEP_PERCENTILE = 10.0
"""The steep side of a plan: this percentile of the dose in a shell (chosen: a tenth of the directions around a target;
a single voxel would be luck)."""


@dataclass(frozen=True)
class FallOff:
    """nearest_mm, typical_mm: of the organ's voxels from the targets' border, smallest and median. at_mm: distance
    beyond which the wanted share of the organ lies. steep_gy, middle_gy: 10th percentile and median of the dose in the
    patient at that distance all around the targets."""

    nearest_mm: float
    typical_mm: float
    at_mm: float
    steep_gy: float
    middle_gy: float


def fall_off(
    organ: VoxelSet, targets: VoxelSet, body: VoxelSet, dose_gy: NDArray[np.floating], grid: Grid, *, exempt: float
) -> FallOff | None:
    """exempt: share (0..1) of the organ that may be hotter than its limit: the nearest part of it. None where there is
    no target or the organ has no volume. Distances are between voxel centres, 0 inside a target."""
    if targets.empty or organ.empty:
        return None
    outside = ~targets.mask(grid.shape)
    distance = distance_transform_edt(outside, sampling=grid.spacing_mm[::-1]).reshape(-1)
    own = distance[organ.index]
    order = np.argsort(own, kind="stable")
    share = np.cumsum(organ.fraction[order], dtype=np.float64)
    at_mm, typical_mm = (
        float(own[order][min(int(np.searchsorted(share, part * share[-1])), own.size - 1)]) for part in (exempt, 0.5)
    )
    around = body.index[(body.fraction >= 0.5) & (np.abs(distance[body.index] - at_mm) <= SHELL_MM)]
    dose = np.asarray(dose_gy).reshape(-1)[around]
    dose = dose[np.isfinite(dose)]
    if not dose.size:
        return None
    steep_gy, middle_gy = np.percentile(dose, [STEEP_PERCENTILE, 50.0])
    return FallOff(float(own.min()), typical_mm, at_mm, float(steep_gy), float(middle_gy))
