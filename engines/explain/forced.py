"""What the coverage of targets forces on an organ that overlaps them: a floor under its dose, without any optimising.

A coverage goal "at least p % of target T gets L Gy" lets (100 - p) % of T go. Whatever of the organ lies in T beyond
that volume gets L or more, even if all that may go is spent on the overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.grid import VoxelSet


@dataclass(frozen=True, eq=False)
class Demand:
    """A target's coverage goal: all of it but spared_cc gets level_gy or more."""

    voxels: VoxelSet
    level_gy: float
    spared_cc: float


def forced(organ: VoxelSet, demands: Sequence[Demand], voxel_cc: float) -> tuple[tuple[float, float], ...]:
    """(level_gy, cc of the organ that gets that level or more and no higher one counted before), the highest first.

    Every part of the organ counts with the highest level that claims it, so the volumes add up. In a voxel cut by both
    borders only what must be in both is counted, max(0, a + b - 1), so that the floor holds."""
    taken = np.zeros(organ.index.size)
    levels = []
    for demand in sorted(demands, key=lambda one: -one.level_gy):
        shared = np.maximum(organ.fraction + _on(organ, demand.voxels) - 1.0, 0.0)
        own = np.maximum(shared - taken, 0.0)
        taken = np.maximum(taken, shared)
        cc = float(own.sum()) * voxel_cc - demand.spared_cc
        if cc > 0:
            levels.append((demand.level_gy, cc))
    return tuple(levels)


def overlap_cc(organ: VoxelSet, target: VoxelSet, voxel_cc: float) -> float:
    """Volume of the organ inside the target; in a voxel cut by both borders the smaller part."""
    return float(np.minimum(organ.fraction, _on(organ, target)).sum(dtype=np.float64)) * voxel_cc


def _on(organ: VoxelSet, other: VoxelSet) -> np.ndarray:
    """Fraction (n,) of `other` in each voxel of the organ."""
    if other.empty or organ.empty:
        return np.zeros(organ.index.size)
    position = np.searchsorted(other.index, organ.index)
    position[position == other.index.size] = 0
    same = other.index[position] == organ.index
    return np.where(same, other.fraction[position], 0.0).astype(np.float64)


def least_metric(
    kind: str, argument: float, levels: Sequence[tuple[float, float]], total_cc: float, *, unit: str = "Gy"
) -> float | None:
    """The lowest value of a metric ('D%', 'Dcc', 'VGy', 'Mean' or 'Max') that an organ of total_cc can have where
    `levels` are forced on it and the rest gets nothing; None for a metric that forced dose does not bound."""
    if kind == "Mean":
        return sum(level * cc for level, cc in levels) / total_cc
    if kind == "VGy":
        cc = sum(cc for level, cc in levels if level >= argument)
        return cc if unit == "cc" else 100.0 * cc / total_cc
    wanted = {"D%": argument / 100.0 * total_cc, "Dcc": argument, "Max": 0.0}.get(kind)
    if wanted is None:
        return None
    reached = 0.0
    for level, cc in sorted(levels, reverse=True):
        reached += cc
        if reached >= wanted:
            return level
    return 0.0
