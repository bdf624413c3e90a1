"""Voxels that the scenarios are calculated on: of the structures with goals, all or an even part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case
from appliance.evaluation.judged import union_of
from engines.grid import VoxelSet

MOST_VOXELS = 20000
"""Of one structure; larger ones are thinned to about this many (chosen: a DVH point then moves by less than 0.1 % of
the volume, and what thinning shifts in the nominal position is taken out of every scenario)."""
LATTICE = (1, 7, 31)
"""One voxel in m is kept where (x + 7 y + 31 z) mod m == 0: evenly, following no plane of the image."""


@dataclass(frozen=True, eq=False)
class Region:
    """voxels: all of the structure or union. position: of the sampled ones in `Regions.index`, with their cc."""

    voxels: VoxelSet
    position: NDArray[np.int64]
    cc: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Regions:
    """index (n,): flat into the image grid, growing."""

    index: NDArray[np.int64]
    by_name: dict[str, Region]


def regions_of(case: Case, names: Sequence[str]) -> Regions:
    """names: structures, or several joined by '+'. Raises EvaluationError for one that has no volume."""
    voxels = {name: union_of(case, name) for name in names}
    kept = {name: _thinned(found, case.image.grid.shape) for name, found in voxels.items()}
    every = [found.index.astype(np.int64) for found, _ in kept.values()]
    index = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)
    cc = case.image.grid.voxel_volume_cc
    return Regions(
        index,
        {
            name: Region(
                voxels[name],
                np.searchsorted(index, found.index).astype(np.int64),
                (found.fraction * np.float32(one_in * cc)).astype(np.float32),
            )
            for name, (found, one_in) in kept.items()
        },
    )


def _thinned(voxels: VoxelSet, shape: tuple[int, int, int]) -> tuple[VoxelSet, int]:
    """The voxels kept, and how many each stands for."""
    one_in = -(-voxels.index.size // MOST_VOXELS)
    if one_in == 1:
        return voxels, 1
    z, y, x = np.unravel_index(voxels.index, shape)
    kept = (LATTICE[0] * x + LATTICE[1] * y + LATTICE[2] * z) % one_in == 0
    return VoxelSet(voxels.index[kept], voxels.fraction[kept]), one_in
