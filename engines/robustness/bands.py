"""Cumulative DVHs of several scenarios on one dose axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dvh_family(
    doses_gy: NDArray[np.floating], weight: NDArray[np.floating], edge_gy: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Percent of the volume with at least edge_gy (m,), ascending from 0, for doses_gy (k, n) of k scenarios on n
    voxels of `weight` (n,): array (k, m)."""
    part, edges = np.asarray(weight, np.float64), np.asarray(edge_gy, np.float64)
    family = np.empty((len(doses_gy), edges.size))
    for row, dose in zip(family, np.asarray(doses_gy, np.float64), strict=True):
        # The number of edges that a voxel reaches, counted once a voxel; then all volumes at least so hot.
        reached = np.searchsorted(edges, dose, side="right")
        at = np.bincount(reached, weights=part, minlength=edges.size + 1)
        row[:] = np.cumsum(at[::-1])[::-1][1:]
    return np.asarray(100.0 * family / part.sum())
