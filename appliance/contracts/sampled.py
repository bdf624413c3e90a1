"""A dose on some voxels of a case, with the regions that goals speak of: enough to judge goals without the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.goals import ClinicalGoal
from engines.dvh import DoseVolume, dose_at_volume, dose_metric

HOT_VOLUME_CC = 0.1
Found = tuple[NDArray[np.int64], NDArray[np.float32]]


class RegionSource(Protocol):
    def get(self, expression: str) -> Found | None:
        """(positions in the dose, volume in cc of each), or None where the case has nothing of it."""
        ...


@dataclass(frozen=True, eq=False)
class Sampled:
    """dose_gy (samples,) of the whole course. regions: by structure as goals name it; one without voxels is not
    there. external: the name among them whose hottest 0.1 cc counts."""

    dose_gy: NDArray[np.float32]
    regions: Mapping[str, Found]
    external: str


def goal_values(
    goals: tuple[ClinicalGoal, ...], regions: RegionSource, dose_gy: NDArray[np.float32]
) -> tuple[float, ...]:
    """One value for each goal in the goal's unit, on the samples; NaN where the structure is absent.

    dose_gy may fall a little below zero where there is almost none: while apertures are refined, it is the dose on a
    coarse raster plus what that raster was off by when it was last compared. There it counts as zero.
    """
    dose_gy = np.maximum(dose_gy, np.float32(0))
    sorted_doses: dict[str, DoseVolume | None] = {}
    values = []
    for goal in goals:
        if goal.structure not in sorted_doses:
            found = regions.get(goal.structure)
            sorted_doses[goal.structure] = None if found is None else DoseVolume.of(dose_gy[found[0]], found[1])
        dose = sorted_doses[goal.structure]
        values.append(
            float("nan") if dose is None else dose_metric(goal.metric.kind, goal.metric.argument, dose, unit=goal.unit)
        )
    return tuple(values)


def hottest_gy(regions: RegionSource, external: str, dose_gy: NDArray[np.float32]) -> float:
    """Hottest 0.1 cc in the patient, Gy; NaN where it has no voxel here."""
    found = regions.get(external)
    return float("nan") if found is None else dose_at_volume(dose_gy[found[0]], found[1], HOT_VOLUME_CC)
