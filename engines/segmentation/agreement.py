"""How far the surfaces of two masks lie apart, in one number."""

from __future__ import annotations

import numpy as np

from engines.contouring.compare import PERCENTILE
from engines.contouring.surface import Mask, surface_distances_mm


def surface_distance_95_mm(a: Mask, b: Mask, spacing_zyx_mm: tuple[float, float, float]) -> float:
    """The larger of both directions' 95th percentile of the distance from the surface voxels of one mask to the nearest
    surface voxel of the other (95 % Hausdorff distance: Huttenlocher et al., IEEE PAMI 15:850, 1993, with a percentile
    for the maximum). Masks (z, y, x). Raises EngineError for an empty mask or masks of two shapes."""
    forth, back = surface_distances_mm(a, b, spacing_zyx_mm)
    return float(max(np.percentile(forth, PERCENTILE), np.percentile(back, PERCENTILE)))
