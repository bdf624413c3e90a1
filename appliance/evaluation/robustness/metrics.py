"""Values of one goal in every scenario, with larger and smaller doses, and with its border drawn elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, ClinicalGoal
from appliance.contracts.robustness import Displacement, ErrorModel, Motion
from appliance.evaluation.judged import goal_value
from appliance.evaluation.robustness.doses import StaticCloud
from appliance.evaluation.robustness.regions import Region
from engines.dvh import DoseVolume
from engines.grid import VoxelSet
from engines.robustness import Border

NODE = float(np.sqrt(3.0))
"""Standard deviations at which dose and contour are tried: the outer nodes of three-point Gauss-Hermite quadrature."""

Array = NDArray[np.float32]


def value(goal: ClinicalGoal, dose_gy: Array, cc: Array) -> float:
    return goal_value(goal, DoseVolume.of(dose_gy, cc))


@dataclass(frozen=True, eq=False)
class Measured:
    """One goal. nominal: on every voxel of the plan's own dose. scenarios (s,): with what thinning is wrong by in place
    taken out. dose, contour: (at minus NODE, at plus NODE)."""

    nominal: float
    scenarios: NDArray[np.float64]
    dose: tuple[float, float]
    contour: tuple[float, float]
    notes: tuple[str, ...] = ()


class Measuring:
    """dose_gy: the plan's own dose (z, y, x) on the image grid; doses (s, n) of the scenarios on sampled voxels."""

    def __init__(self, case: Case, dose_gy: Array, nominal_gy: Array, doses: Array, errors: ErrorModel) -> None:
        self._case, self._flat, self._errors = case, dose_gy.reshape(-1), errors
        self._nominal, self._doses, self._dose = nominal_gy, doses, dose_gy
        self._borders: dict[str, Border] = {}

    def goal(self, goal: ClinicalGoal, region: Region) -> Measured:
        full = self._full(goal, region.voxels)
        thinned = value(goal, self._nominal[region.position], region.cc)
        values = np.array([value(goal, dose[region.position], region.cc) for dose in self._doses]) + (full - thinned)
        contour, notes = self._contour(goal, region, full)
        return Measured(full, np.maximum(values, 0.0), self._scaled(goal, region, full), contour, notes)

    def motion(self, goal: ClinicalGoal, region: Region, motion: Motion) -> tuple[float, float]:
        """The goal with its structure moved to either end of its range, in the dose as planned."""
        centre = (0.0, 0.0, 0.0)
        cloud = StaticCloud(self._dose, self._case.image.grid, region.voxels.index.astype(np.int64), centre)
        cc = region.voxels.fraction * np.float32(self._case.image.grid.voxel_volume_cc)
        ends = []
        for sign in (-1.0, 1.0):
            x, y, z = (sign * extent for extent in motion.extent_mm)
            ends.append(value(goal, cloud(Displacement(shift_mm=(x, y, z))), cc))
        return ends[0], ends[1]

    def _full(self, goal: ClinicalGoal, voxels: VoxelSet) -> float:
        cc = voxels.fraction * np.float32(self._case.image.grid.voxel_volume_cc)
        return value(goal, self._flat[voxels.index], cc)

    def _scaled(self, goal: ClinicalGoal, region: Region, full: float) -> tuple[float, float]:
        step = NODE * self._errors.dose_percent / 100
        if not step:
            return full, full
        cc = region.voxels.fraction * np.float32(self._case.image.grid.voxel_volume_cc)
        dose = self._flat[region.voxels.index]
        low, high = (value(goal, dose * np.float32(factor), cc) for factor in (1 - step, 1 + step))
        return low, high

    def _contour(self, goal: ClinicalGoal, region: Region, full: float) -> tuple[tuple[float, float], tuple[str, ...]]:
        step = NODE * self._errors.contour_mm
        if not step:
            return (full, full), ()
        drawn = self._full(goal, self._border(goal.structure, region.voxels, 0.0))
        larger = self._full(goal, self._border(goal.structure, region.voxels, step)) + full - drawn
        smaller = self._border(goal.structure, region.voxels, -step)
        if smaller.empty:
            note = f"{goal.structure} is too small to be drawn {step:.1f} mm smaller; the effect is mirrored instead"
            return (2 * full - larger, larger), (note,)
        return (self._full(goal, smaller) + full - drawn, larger), ()

    def _border(self, name: str, voxels: VoxelSet, distance_mm: float) -> VoxelSet:
        if name not in self._borders:
            reach_mm = NODE * self._errors.contour_mm
            self._borders[name] = Border(voxels, self._case.image.grid, reach_mm)
        return self._borders[name].moved(distance_mm, within=self._case.external.voxels)
