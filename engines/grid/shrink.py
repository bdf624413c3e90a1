"""An image on fewer, larger voxels, each the mean of those it is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.grid.grid import Grid


def shrunk(
    values_zyx: NDArray[np.generic], grid: Grid, step_mm: float, *, limits: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[NDArray[np.float32], Grid]:
    """Means over as many voxels along each axis as make about `step_mm`, of values cut to `limits`, and their grid.

    What is left over at an end is cut off: less than one of the larger voxels."""
    (cz, cy, cx) = (
        max(1, min(round(step_mm / step), size)) for step, size in zip(grid.spacing_mm[::-1], grid.shape, strict=True)
    )
    nz, ny, nx = (size // count for size, count in zip(grid.shape, (cz, cy, cx), strict=True))
    out = np.empty((nz, ny, nx), np.float32)
    for plane in range(nz):
        slab = np.clip(values_zyx[plane * cz : (plane + 1) * cz, : ny * cy, : nx * cx], *limits)
        mean = slab.mean(axis=0, dtype=np.float32)
        out[plane] = mean.reshape(ny, cy, nx, cx).mean(axis=(1, 3))
    (x, y, z), (dx, dy, dz) = grid.origin_mm, grid.spacing_mm
    origin = (x + dx * (cx - 1) / 2, y + dy * (cy - 1) / 2, z + dz * (cz - 1) / 2)
    return out, Grid(origin, (dx * cx, dy * cy, dz * cz), (nz, ny, nx))
