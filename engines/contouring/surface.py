"""How far the surfaces of two masks lie apart, voxel by voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engines.errors import EngineError

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]

MOST_POINTS = 20_000
"""Surface voxels of one mask from which a distance is found; of larger surfaces every second, third, ... voxel stands
for its neighbours (chosen: a kidney has about so many; only the largest distance can miss something, and no more than
these few voxels' width)."""


def surface_distances_mm(a: Mask, b: Mask, spacing_zyx_mm: tuple[float, float, float]) -> tuple[Distances, Distances]:
    """(from the surface voxels of a to the nearest of b, from those of b to the nearest of a), exact between voxel
    centres. A surface voxel is inside and has a face neighbour outside; what lies beyond the masks' border is outside.
    Masks (z, y, x). Raises EngineError for an empty mask or masks of two shapes."""
    if a.shape != b.shape or not a.any() or not b.any():
        raise EngineError("surface distances need two masks of one shape that are not empty")
    points = [_surface(mask) * np.asarray(spacing_zyx_mm) for mask in (a, b)]
    # Neither balancing nor compacting pays: points on a grid are spread evenly, and each tree is asked once.
    trees = [cKDTree(own, balanced_tree=False, compact_nodes=False) for own in points]
    asked = [own[:: -(-len(own) // MOST_POINTS)] for own in points]
    return np.asarray(trees[1].query(asked[0])[0]), np.asarray(trees[0].query(asked[1])[0])


def _surface(mask: Mask) -> NDArray[np.intp]:
    """Indices (n, 3) of the surface voxels."""
    low, high = [], []
    for axis in range(3):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        low.append(int(filled[0]))
        high.append(int(filled[-1]) + 1)
    cut = np.pad(mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]], 1)
    inner = cut[1:-1, 1:-1, 1:-1].copy()
    for axis in range(3):
        for step in (0, 2):
            neighbour = [slice(1, -1)] * 3
            neighbour[axis] = slice(step, step + inner.shape[axis])
            inner &= cut[tuple(neighbour)]
    own = cut[1:-1, 1:-1, 1:-1] & ~inner
    points: NDArray[np.intp] = np.argwhere(own) + np.asarray(low)
    return points
