"""Doses of the scenarios on the sampled voxels, Gy of the course."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from appliance.contracts.progress import Progress
from appliance.contracts.robustness import DisplacedDoses, Displacement, Scenario, Vector3
from appliance.evaluation.robustness.scenarios import SetUp
from engines.grid import Grid
from engines.robustness import moved_points

Doses = NDArray[np.float32]


class StaticCloud:
    """The fallback where no plan can be calculated: the dose stands still in the room and the patient moves in it
    (trilinear; the nearest value outside the grid). Knows nothing of tissue that moves into a beam."""

    def __init__(self, dose_gy: Doses, grid: Grid, index: NDArray[np.int64], centre_mm: Vector3) -> None:
        self._dose, self._grid, self._centre = dose_gy, grid, centre_mm
        self._points_mm = grid.centres_mm(index)

    def __call__(self, displacement: Displacement) -> Doses:
        points = moved_points(self._points_mm, displacement.shift_mm, displacement.rotation_deg, self._centre)
        at = ((points - np.asarray(self._grid.origin_mm)) / np.asarray(self._grid.spacing_mm))[:, ::-1]
        return np.asarray(map_coordinates(self._dose, at.T, order=1, mode="nearest"), np.float32)


def scenario_doses(
    doses: DisplacedDoses, scenarios: tuple[Scenario, ...], nominal_gy: Doses, setting: SetUp, progress: Progress
) -> Doses:
    """(scenarios, n). The first 1 + 12 scenarios must be those of `setting`.

    What the plan's own dose differs by from `doses` in place is added to every scenario (the difference belongs to the
    tissue and moves with it; hybrid scheme of Siebers et al., Med Phys 34:2853, 2007), and what random errors blur:
    sum over the axes of variance / 2 times the second difference of the dose, which is the mean dose of the blur to
    second order."""
    made = np.empty((len(scenarios), nominal_gy.size), np.float32)
    for number, scenario in enumerate(scenarios):
        progress("robustness", number / len(scenarios))
        made[number] = doses(scenario.displacement)
    added = nominal_gy - made[0]
    for axis in range(3):
        weight = np.float32(setting.blur[axis] / (2 * setting.amplitude[axis] ** 2))
        added += weight * (made[1 + 2 * axis] + made[2 + 2 * axis] - 2 * made[0])
    made += added
    return np.maximum(made, np.float32(0))
