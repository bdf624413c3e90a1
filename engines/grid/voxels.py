"""A region on a grid as a sparse list of voxels, each with the share of its volume that lies inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError


@dataclass(frozen=True, eq=False)
class VoxelSet:
    """Sparse region: `index` (n,) int32, flat C-order into the grid, strictly increasing; `fraction` (n,) float32 in
    (0, 1], the part of each voxel's volume inside the region (partial voxels at edges)."""

    index: NDArray[np.int32]
    fraction: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.index.shape != self.fraction.shape or self.index.ndim != 1:
            raise EngineError("voxel set needs one fraction for each index")

    @staticmethod
    def from_dense(fraction_zyx: NDArray[np.floating]) -> VoxelSet:
        """From a dense (z, y, x) array of fractions 0..1."""
        flat = np.ascontiguousarray(fraction_zyx).reshape(-1)
        index = np.flatnonzero(flat > 0).astype(np.int32)
        return VoxelSet(index, flat[index].astype(np.float32))

    def dense(self, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        out = np.zeros(shape, np.float32)
        out.reshape(-1)[self.index] = self.fraction
        return out

    def mask(self, shape: tuple[int, int, int], at_least: float = 0.5) -> NDArray[np.bool_]:
        """Dense boolean (z, y, x): voxels with at least this share inside."""
        out = np.zeros(shape, np.bool_)
        out.reshape(-1)[self.index[self.fraction >= at_least]] = True
        return out

    @property
    def empty(self) -> bool:
        return self.index.size == 0

    def volume_cc(self, voxel_volume_cc: float) -> float:
        return float(self.fraction.sum(dtype=np.float64)) * voxel_volume_cc

    def union(self, other: VoxelSet) -> VoxelSet:
        """Union, the fraction of a shared voxel capped at 1 (exact for regions that do not overlap inside a voxel)."""
        index = np.union1d(self.index, other.index).astype(np.int32)
        fraction = np.zeros(index.size, np.float32)
        for part in (self, other):
            fraction[np.searchsorted(index, part.index)] += part.fraction
        return VoxelSet(index, np.minimum(fraction, 1.0, dtype=np.float32))
