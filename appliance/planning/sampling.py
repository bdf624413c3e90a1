"""Which voxels the optimiser looks at: all that matter for the goals, few of the rest, each with its weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from appliance.contracts import Case, StructureKind
from engines.grid import Grid, VoxelSet

NEAR_MM = 25.0
"""Tissue within this of a target is sampled more densely than the rest."""
NEAR_THINNING, FAR_THINNING = 4, 18
"""One planning voxel in so many is kept near and far (chosen: twice as dense changed no goal by 0.2 %)."""
STRUCTURE_SAMPLES, TARGET_SAMPLES = 8000, 16000
"""Organs and targets keep every image voxel up to this many; larger ones are thinned to about this many (chosen: steep
gradients make small organs' near-maximum wrong by several percent on any thinner sampling)."""
RANK_ONE = (1, 7, 31)
"""Steps (x, y, z) of the rank-one lattice that thins a region: one voxel in m is kept where
(x + 7 y + 31 z) mod m == 0, which spreads the kept voxels evenly and follows no plane of the image for the m in use."""


@dataclass(frozen=True, eq=False)
class Samples:
    """index (n,) flat into the image grid, growing; points_mm (n, 3) LPS; distance_mm (n,) to the nearest target;
    body_weight (n,): how much patient volume (cc) a sample stands for."""

    grid: Grid
    index: NDArray[np.int64]
    points_mm: NDArray[np.float32]
    distance_mm: NDArray[np.float32]
    body_weight: NDArray[np.float32]
    _density: NDArray[np.float32]
    _distance_mm: NDArray[np.float32]

    def restrict(self, voxels: VoxelSet) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(positions among the samples, volume in cc) of a region; each sample stands for its unsampled neighbours."""
        inside = np.searchsorted(voxels.index, self.index)
        inside[inside == voxels.index.size] = 0
        position = np.flatnonzero(voxels.index[inside] == self.index)
        fraction = voxels.fraction[inside[position]]
        return position, (fraction * self._density[position] * self.grid.voxel_volume_cc).astype(np.float32)

    def added(self, voxels: NDArray[np.int64], whole: NDArray[np.bool_]) -> tuple[Samples, NDArray[np.int64]]:
        """With more voxels of the image grid, each standing for itself, and the order in which the old samples followed
        by the new ones now lie. `voxels` must not be samples yet. whole (n,): old samples whose neighbours are all
        among the new ones, so that they too stand for themselves from now on: otherwise regions would count what is
        added twice."""
        every = np.concatenate([self.index, voxels])
        order = np.argsort(every, kind="stable")
        own_cc = np.full(voxels.size, self.grid.voxel_volume_cc, np.float32)
        density = np.where(whole, np.float32(1.0), self._density)
        old_cc = self.body_weight * density / self._density
        more = Samples(
            grid=self.grid,
            index=every[order],
            points_mm=np.concatenate([self.points_mm, self.grid.centres_mm(voxels)])[order],
            distance_mm=self._distance_mm[every[order]],
            body_weight=np.concatenate([old_cc, own_cc])[order].astype(np.float32),
            _density=np.concatenate([density, np.ones(voxels.size, np.float32)])[order],
            _distance_mm=self._distance_mm,
        )
        return more, order

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `restored` needs of these samples beside others of the same case."""
        return {"index": self.index, "body_weight": self.body_weight, "density": self._density}

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Samples:
        """The samples of the same case that gave these arrays. Raises ValueError for voxels out of its grid."""
        index = arrays["index"]
        if index.size and not 0 <= index[0] <= index[-1] < self.grid.size:
            raise ValueError("samples of another grid")
        return Samples(
            grid=self.grid,
            index=index,
            points_mm=self.grid.centres_mm(index),
            distance_mm=self._distance_mm[index],
            body_weight=arrays["body_weight"],
            _density=arrays["density"],
            _distance_mm=self._distance_mm,
        )


def sample_case(case: Case, dose_grid_mm: float, *, thin: int = 1) -> Samples:
    """Samples of a case. Tissue is sampled as from a lattice of dose_grid_mm, thinned with the distance from the
    targets; targets and organs keep the image's own voxels, or one in `thin` of the most they may keep."""
    grid = case.image.grid
    target = np.zeros(grid.size, np.bool_)
    for structure in case.targets:
        target[structure.voxels.index] = True
    distance = distance_transform_edt(~target.reshape(grid.shape), sampling=grid.spacing_mm[::-1]).astype(np.float32)
    density = np.zeros(grid.size, np.float32)
    body = case.external.voxels.index[case.external.voxels.fraction >= 0.5]
    planning_voxel = max(1.0, dose_grid_mm**3 / float(np.prod(grid.spacing_mm)))
    near = distance.reshape(-1)[body] <= NEAR_MM
    _thin(density, body[~near], grid.shape, round(FAR_THINNING * planning_voxel))
    _thin(density, body[near], grid.shape, round(NEAR_THINNING * planning_voxel))
    for structure in case.structures:
        if structure.kind in (StructureKind.TARGET, StructureKind.ORGAN) and not structure.voxels.empty:
            voxels = structure.voxels.index
            most = TARGET_SAMPLES if structure.kind is StructureKind.TARGET else STRUCTURE_SAMPLES
            _thin(density, voxels, grid.shape, max(1, round(voxels.size * thin / most)))
    index = np.flatnonzero(density > 0).astype(np.int64)
    weight = density[index]
    inside = case.external.voxels
    position = np.searchsorted(inside.index, index)
    position[position == inside.index.size] = 0
    body_part = np.where(inside.index[position] == index, inside.fraction[position], 0)
    return Samples(
        grid=grid,
        index=index,
        points_mm=grid.centres_mm(index),
        distance_mm=distance.reshape(-1)[index],
        _distance_mm=distance.reshape(-1),
        body_weight=(body_part * weight * grid.voxel_volume_cc).astype(np.float32),
        _density=weight,
    )


def _thin(density: NDArray[np.float32], index: NDArray[np.int32], shape: tuple[int, int, int], one_in: int) -> None:
    """Keeps one voxel in `one_in` of a region; a kept voxel stands for that many."""
    z, y, x = np.unravel_index(index, shape)
    kept = (RANK_ONE[0] * x + RANK_ONE[1] * y + RANK_ONE[2] * z) % one_in == 0
    density[index] = 0.0
    density[index[kept]] = float(one_in)
