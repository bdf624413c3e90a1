"""An image on fewer, larger voxels, each the mean of those it is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.grid.grid import Grid
from engines.grid.warp import block_means


def shrunk(
    values_zyx: NDArray[np.generic], grid: Grid, step_mm: float, *, limits: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[NDArray[np.float32], Grid]:
    """Means over as many voxels along each axis as make about `step_mm`, of values cut to `limits`, and their grid.

    What is left over at an end is cut off: less than one of the larger voxels."""
    (cz, cy, cx) = (
        max(1, min(round(step_mm / step), size)) for step, size in zip(grid.spacing_mm[::-1], grid.shape, strict=True)
    )
    out = block_means(values_zyx, (cz, cy, cx), limits)
    (x, y, z), (dx, dy, dz) = grid.origin_mm, grid.spacing_mm
    origin = (x + dx * (cx - 1) / 2, y + dy * (cy - 1) / 2, z + dz * (cz - 1) / 2)
    return out, Grid(origin, (dx * cx, dy * cy, dz * cz), (out.shape[0], out.shape[1], out.shape[2]))
