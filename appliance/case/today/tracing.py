"""Outlines of a region of voxels, slice by slice."""

from __future__ import annotations

import numpy as np
from contourpy import LineType, contour_generator

from appliance.contracts import Contour
from engines.grid import Grid, VoxelSet


def contours_of(region: VoxelSet, grid: Grid) -> tuple[Contour, ...]:
    """The lines of half a voxel's share on each slice; holes are loops of their own (even-odd rule)."""
    contours: list[Contour] = []
    size = grid.shape[1] * grid.shape[2]
    planes = region.index // size
    _, _, z_mm = grid.axes_mm()
    for plane in np.unique(planes):
        own = planes == plane
        rows, columns = np.divmod(region.index[own] - plane * size, grid.shape[2])
        dense = np.zeros((np.ptp(rows) + 3, np.ptp(columns) + 3), np.float32)
        dense[rows - rows.min() + 1, columns - columns.min() + 1] = region.fraction[own]
        x_mm = grid.origin_mm[0] + grid.spacing_mm[0] * (np.arange(dense.shape[1]) + columns.min() - 1)
        y_mm = grid.origin_mm[1] + grid.spacing_mm[1] * (np.arange(dense.shape[0]) + rows.min() - 1)
        for line in contour_generator(x_mm, y_mm, dense, line_type=LineType.Separate).lines(0.5):
            if len(line) > 3:
                contours.append(Contour(float(z_mm[plane]), np.asarray(line, np.float64)[:-1]))
    return tuple(contours)
