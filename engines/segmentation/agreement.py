"""How far the surfaces of two masks lie apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from engines.errors import EngineError

Mask = NDArray[np.bool_]
PERCENTILE = 95.0


def surface_distance_95_mm(a: Mask, b: Mask, spacing_zyx_mm: tuple[float, float, float]) -> float:
    """The larger of both directions' 95th percentile of the distance from the surface voxels of one mask to the nearest
    surface voxel of the other (95 % Hausdorff distance: Huttenlocher et al., IEEE PAMI 15:850, 1993, with a percentile
    for the maximum). Masks (z, y, x). Raises EngineError for an empty mask or masks of two shapes."""
    if a.shape != b.shape or not a.any() or not b.any():
        raise EngineError("surface distances need two masks of one shape that are not empty")
    a, b = _cut_to_both(a, b)
    edges = [mask & ~binary_erosion(mask) for mask in (a, b)]
    away = [distance_transform_edt(~edge, sampling=spacing_zyx_mm) for edge in edges]
    return float(max(np.percentile(away[1][edges[0]], PERCENTILE), np.percentile(away[0][edges[1]], PERCENTILE)))


def _cut_to_both(a: Mask, b: Mask) -> tuple[Mask, Mask]:
    """Both masks in their common bounding box, one voxel of nothing around it."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(a.any(axis=others) | b.any(axis=others))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    cut = tuple(box)
    return np.pad(a[cut], 1), np.pad(b[cut], 1)
