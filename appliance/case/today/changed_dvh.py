"""The dose-volume histograms of the structures that an edit changed, and of no others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.editing import DeskChange
from appliance.contracts import DvhCurve, StructureKind
from engines.dvh import DoseVolume
from engines.grid import Grid


@dataclass(frozen=True)
class ChangedDvhs:
    """curves: in the order of the structures. without: names of the structures that have none, because they are empty,
    a support, or reach beyond the dose."""

    curves: tuple[DvhCurve, ...]
    without: tuple[str, ...]


def changed_dvhs(change: DeskChange, dose_gy: NDArray[np.float32], grid: Grid) -> ChangedDvhs:
    """dose_gy: (z, y, x) on the image's grid, NaN where there is none. The curves are those of an evaluation."""
    curves, without = [], []
    flat = dose_gy.reshape(-1)
    for structure in change.structures:
        dose = flat[structure.voxels.index]
        if structure.kind is StructureKind.SUPPORT or structure.voxels.empty or not np.isfinite(dose).all():
            without.append(structure.tg263)
            continue
        cc = structure.voxels.fraction * np.float32(grid.voxel_volume_cc)
        curves.append(DvhCurve.of(structure.tg263, DoseVolume.of(dose, cc)))
    return ChangedDvhs(tuple(curves), tuple(without))
