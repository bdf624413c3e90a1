"""A region on a grid as a sparse list of voxels, each with the share of its volume that lies inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""First voxel and the one beyond the last, (z, y, x)."""


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

    def slice_bounds(self, shape: tuple[int, int, int]) -> NDArray[np.intp]:
        """(nz + 1,): the voxels of slice k stand at bounds[k] to bounds[k + 1] of `index`."""
        starts = np.arange(shape[0] + 1, dtype=np.int64) * (shape[1] * shape[2])
        return np.searchsorted(self.index, starts.astype(np.int32))

    def box(self, shape: tuple[int, int, int]) -> Box:
        """The smallest box that holds the region. Raises EngineError for an empty one."""
        if self.empty:
            raise EngineError("an empty region has no bounding box")
        size, width = shape[1] * shape[2], shape[2]
        # Voxels lie in runs: only their ends are looked at.
        breaks = np.flatnonzero(np.diff(self.index) != 1)
        first = self.index[np.concatenate([[0], breaks + 1])]
        last = self.index[np.concatenate([breaks, [self.index.size - 1]])]
        rows = first % size // width, last % size // width
        whole_rows = bool((first // width != last // width).any())
        left, right = (0, width - 1) if whole_rows else (int((first % width).min()), int((last % width).max()))
        top, bottom = (0, shape[1] - 1) if (first // size != last // size).any() else (rows[0].min(), rows[1].max())
        low = (int(first[0]) // size, int(top), left)
        return low, (int(last[-1]) // size + 1, int(bottom) + 1, right + 1)

    def dense_in(self, box: Box, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Fractions (z, y, x) of the part of a grid of this shape; the box must hold the region."""
        (z0, y0, x0), (z1, y1, x1) = box
        out = np.zeros((z1 - z0, *shape[1:]), np.float32)
        out.reshape(-1)[self.index - np.int32(z0 * shape[1] * shape[2])] = self.fraction
        return np.ascontiguousarray(out[:, y0:y1, x0:x1])

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

    def intersection(self, other: VoxelSet) -> VoxelSet:
        """What both hold, of each voxel the smaller share (exact where one of them holds the other inside the voxel, as
        a body holds a target that its skin cuts off)."""
        small, large = (self, other) if self.index.size <= other.index.size else (other, self)
        fraction = np.minimum(small.fraction, large._fraction_at(small.index))
        kept = fraction > 0
        return VoxelSet(small.index[kept], fraction[kept])

    def difference(self, other: VoxelSet) -> VoxelSet:
        """Without what the other holds: of each voxel the share by which it passes the other's (exact where
        `intersection` is)."""
        fraction = np.maximum(self.fraction - other._fraction_at(self.index), np.float32(0))
        kept = fraction > 0
        return VoxelSet(self.index[kept], fraction[kept])

    def _fraction_at(self, index: NDArray[np.int32]) -> NDArray[np.float32]:
        if self.empty:
            return np.zeros(index.size, np.float32)
        at = np.minimum(np.searchsorted(self.index, index), self.index.size - 1)
        return np.where(self.index[at] == index, self.fraction[at], np.float32(0))
