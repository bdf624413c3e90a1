"""Voxels of structures prepared once for a case, and one dose sampled on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, ClinicalGoal
from appliance.errors import EvaluationError
from engines.dvh import DoseVolume, dose_metric
from engines.grid import VoxelSet


def goal_value(goal: ClinicalGoal, volume: DoseVolume) -> float:
    """The goal's metric in the goal's unit."""
    return dose_metric(goal.metric.kind.value, goal.metric.argument, volume, unit=goal.unit)


def union_of(case: Case, names: str) -> VoxelSet:
    """Voxels of a structure, or of several joined by '+'. Raises EvaluationError for one that is absent, or where there
    is no volume."""
    parts = []
    for name in names.split("+"):
        structure = case.structure(name)
        if structure is None:
            raise EvaluationError(f"the case has no structure {name}")
        parts.append(structure.voxels)
    union = reduce(VoxelSet.union, parts)
    if union.empty:
        raise EvaluationError(f"{names} has no volume on today's image; correct its contours")
    return union


@dataclass(frozen=True, eq=False)
class Region:
    """index (n,): flat positions in the image grid; cc (n,): volume of the structure in each of these voxels."""

    index: NDArray[np.intp]
    cc: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Regions:
    """The structures of a case by name, or by names joined by '+' for their union; each is prepared when first asked
    for."""

    case: Case
    _known: dict[str, Region] = field(default_factory=dict)

    def region(self, names: str) -> Region:
        """Raises EvaluationError for a structure that is absent or has no volume."""
        if names not in self._known:
            voxels = union_of(self.case, names)
            cc = voxels.fraction * np.float32(self.case.image.grid.voxel_volume_cc)
            self._known[names] = Region(voxels.index.astype(np.intp), cc)
        return self._known[names]


@dataclass(frozen=True)
class Outside:
    """What of a structure the dose grid leaves out; why: for a clinician, as a sentence's second half."""

    percent: float
    why: str


@dataclass(frozen=True, eq=False)
class Judged:
    """One dose on the regions: dose_gy (z, y, x) on the image grid, NaN outside the dose grid. Each structure's doses
    are binned once (`engines.dvh`) and serve all its goals, indices and its curve."""

    regions: Regions
    dose_gy: NDArray[np.float32]
    _known: dict[str, DoseVolume | Outside] = field(default_factory=dict)

    def sampled(self, names: str) -> DoseVolume | Outside:
        """Weights in cc; Outside where the dose grid does not hold all of it. Raises EvaluationError for a structure
        that is absent or has no volume."""
        if names not in self._known:
            region = self.regions.region(names)
            dose_gy = self.dose_gy.reshape(-1)[region.index]
            self._known[names] = (
                _outside(names, dose_gy, region.cc) if np.isnan(dose_gy.min()) else DoseVolume.of(dose_gy, region.cc)
            )
        return self._known[names]

    def volume(self, names: str) -> DoseVolume:
        """Raises EvaluationError also for what the dose grid does not wholly hold, with the share outside."""
        found = self.sampled(names)
        if isinstance(found, Outside):
            raise EvaluationError(found.why)
        return found

    def reached(self, name: str) -> DoseVolume:
        """The part of a structure that the dose grid reaches. Raises EvaluationError where it reaches none."""
        found = self.sampled(name)
        if isinstance(found, DoseVolume):
            return found
        region = self.regions.region(name)
        dose_gy = self.dose_gy.reshape(-1)[region.index]
        inside = ~np.isnan(dose_gy)
        if not inside.any():
            raise EvaluationError("the dose grid does not reach the patient; check the frame of reference of the dose")
        return DoseVolume.of(dose_gy[inside], region.cc[inside])


def _outside(names: str, dose_gy: NDArray[np.float32], cc: NDArray[np.float32]) -> Outside:
    percent = 100.0 * float(cc[np.isnan(dose_gy)].sum()) / float(cc.sum())
    share = f"{percent:.1f} % of it lies outside"
    return Outside(percent, f"the dose grid does not cover {names} ({share}); calculate the dose on a larger grid")
