"""Where a hot spot is to be removed, and down to what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from appliance.contracts import (
    Case,
    ClinicalGoal,
    Comparator,
    HotRegion,
    Isodose,
    Metric,
    MetricKind,
    RemoveHotSpot,
    Revision,
    Sphere,
)
from appliance.contracts.edit import COOL_PERCENT
from appliance.errors import RefusedEdit
from appliance.execution.edit_checks import demand_structure
from engines.dvh import dose_at_volume

ABOVE_PRESCRIPTION = 1.02
"""A region that holds some of a target may not be asked for less than this share of its prescription (chosen: what is
nearer to it costs coverage)."""
GROWN_MM = 3.0
"""An isodose's region is so much wider than what it encloses, so that the hot spot cannot step aside (chosen: one
voxel)."""
SMALLEST_GAIN_GY = 0.1


@dataclass(frozen=True)
class _HottestVolume:
    """D0.1cc of a list of voxels, as the limit on hot spots is defined."""

    volume_cc: float = 0.1

    @property
    def metric(self) -> Metric:
        return Metric(MetricKind.DOSE_AT_CC, self.volume_cc)

    def of(self, case: Case, dose_gy: NDArray[np.float32], index: tuple[int, ...] | NDArray[np.integer]) -> float:
        """Gy; NaN where the dose reaches nothing of it."""
        doses = dose_gy.reshape(-1)[np.asarray(index, np.int64)]
        doses = doses[~np.isnan(doses)]
        if not doses.size:
            return float("nan")
        return dose_at_volume(doses, np.full(doses.size, case.image.grid.voxel_volume_cc, np.float32), self.volume_cc)


HOT_METRIC = _HottestVolume()


def cooled(
    case: Case, dose_gy: NDArray[np.float32], revision: Revision, edit: RemoveHotSpot
) -> tuple[Revision, ClinicalGoal]:
    """The revision with the region, if it is none of the case's structures, and the goal for it. Raises RefusedEdit."""
    if isinstance(edit.region, str):
        demand_structure(case, edit.region)
        structure = case.structure(edit.region)
        index = structure.voxels.index if structure is not None else np.empty(0, np.int32)
        name, words = edit.region, edit.region
    else:
        index, words = _voxels(case, dose_gy, edit.region)
        name = f"HotSpot_{len(revision.regions) + 1}"
        revision = replace(revision, regions=(*revision.regions, HotRegion(name, words, tuple(int(i) for i in index))))
    has_gy = HOT_METRIC.of(case, dose_gy, index)
    limit_gy = _limit_gy(edit, has_gy, least_gy=_least_gy(case, revision, index), words=words)
    return revision, ClinicalGoal(name, HOT_METRIC.metric, Comparator.AT_MOST, round(limit_gy, 2), "Gy", 3, "")


def _limit_gy(edit: RemoveHotSpot, has_gy: float, *, least_gy: float, words: str) -> float:
    said = edit.region.level_gy if isinstance(edit.region, Isodose) and edit.limit_gy is None else edit.limit_gy
    if said is not None and said < least_gy:
        raise RefusedEdit(f"{words} holds some of a target; its hot spot cannot be asked below {least_gy:.1f} Gy")
    limit_gy = max(has_gy * (1 - COOL_PERCENT / 100), least_gy) if said is None else said
    if not limit_gy < has_gy - SMALLEST_GAIN_GY:
        raise RefusedEdit(f"the hottest 0.1 cc of {words} has {has_gy:.1f} Gy; no hot spot above {limit_gy:.1f} Gy")
    return limit_gy


def _least_gy(case: Case, revision: Revision, index: NDArray[np.integer]) -> float:
    """What the targets in a region need at least; 0 where it holds none."""
    found = [0.0]
    for name, prescribed_gy in revision.goal_set.prescription:
        structure = case.structure(name)
        if structure is not None and np.intersect1d(structure.voxels.index, index).size:
            found.append(prescribed_gy * ABOVE_PRESCRIPTION)
    return max(found)


def _voxels(case: Case, dose_gy: NDArray[np.float32], region: Sphere | Isodose) -> tuple[NDArray[np.int32], str]:
    """Voxels of the patient, ascending, and the region in words. Raises RefusedEdit for one without any."""
    inside = case.external.voxels.index
    points_mm = case.image.grid.centres_mm(inside).astype(np.float64)
    if isinstance(region, Sphere):
        x, y, z = region.centre_mm
        words = f"the sphere of {region.radius_mm:g} mm about ({x:g}, {y:g}, {z:g}) mm"
        near = np.linalg.norm(points_mm - np.asarray(region.centre_mm), axis=1) <= region.radius_mm
    else:
        words = f"the {region.level_gy:g} Gy isodose"
        hot = np.nan_to_num(dose_gy.reshape(-1)[inside]) >= region.level_gy
        near = _grown(case, inside, hot)
    if not near.any():
        raise RefusedEdit(f"nothing of the patient lies in {words}")
    return inside[near], words


def _grown(case: Case, inside: NDArray[np.int32], hot: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the voxels lie within GROWN_MM of a hot one."""
    mask = np.ones(case.image.grid.size, np.bool_)
    mask[inside[hot]] = False
    if not hot.any():
        return hot
    shape, spacing = case.image.grid.shape, case.image.grid.spacing_mm[::-1]
    return np.asarray(distance_transform_edt(mask.reshape(shape), sampling=spacing).reshape(-1)[inside] <= GROWN_MM)
