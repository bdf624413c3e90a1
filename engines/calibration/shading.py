"""Slow differences of brightness across an image (cupping, scatter) taken out by the reference.

Marchant et al., "Shading correction algorithm for improvement of cone-beam CT images in radiotherapy", Phys Med Biol
53:5719 (2008), doi 10.1088/0031-9155/53/20/010: what is left of the difference to the planning CT after strong
smoothing is scatter, not anatomy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from engines.calibration.curve import AIR_HU
from engines.grid import Grid, resample, shrunk

SMOOTHING_MM = 15.0
"""Standard deviation of the smoothing (chosen: bench/density.py)."""

MOST_DIFFERENT_HU = 250.0
"""Voxels that differ more show other anatomy (chosen: gas, bone that moved)."""

STEP_MM = 6.0
"""Voxels that the difference is smoothed on (chosen: a quarter of the smoothing)."""

SOFT_HU = (-250.0, 300.0)
"""Of the reference: bone and air say more of the registration than of scatter."""

MOST_OF_IT = 0.9
"""Share of a coarse voxel that must count (chosen)."""

DENSE_ENOUGH_HU = 200.0
"""Above air: thinner matter has no part that could be in proportion (chosen)."""

LEAST_WEIGHT = 1e-3
"""Share of soft tissue around, below which nothing is known of the brightness, and it is left (chosen)."""


def flattened(
    hu: NDArray[np.float32], reference_hu: NDArray[np.floating], where: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float32]:
    """hu, (z, y, x) on `grid`, plus the smoothed difference of the reference's soft tissue to it. where: voxels that
    count. In proportion to density, so that air stays air."""
    one, coarse = shrunk(hu, grid, STEP_MM)
    other = shrunk(reference_hu, grid, STEP_MM)[0]
    counted = shrunk(where, grid, STEP_MM)[0] > MOST_OF_IT
    difference = other - one
    soft = (other > SOFT_HU[0]) & (other < SOFT_HU[1]) & (np.abs(difference) < MOST_DIFFERENT_HU)
    weight = (counted & soft).astype(np.float32)
    sigma = [SMOOTHING_MM / size for size in coarse.spacing_mm[::-1]]
    total = gaussian_filter(weight, sigma, mode="constant")
    share = gaussian_filter(weight * difference / np.maximum(one - AIR_HU, DENSE_ENOUGH_HU), sigma, mode="constant")
    relative = _everywhere(np.where(total > LEAST_WEIGHT, share / np.maximum(total, LEAST_WEIGHT), 0.0), coarse, grid)
    return np.asarray(hu + relative * np.maximum(hu - AIR_HU, 0.0), np.float32)


def _everywhere(values: NDArray[np.floating], coarse: Grid, grid: Grid) -> NDArray[np.float32]:
    """On `grid`; where the coarse voxels end before it, their border holds on."""
    (x, y, z), (dx, dy, dz), (nz, ny, nx) = coarse.origin_mm, coarse.spacing_mm, coarse.shape
    wider = Grid((x - dx, y - dy, z - dz), coarse.spacing_mm, (nz + 2, ny + 2, nx + 2))
    return resample(np.pad(values, 1, mode="edge"), wider, grid)
