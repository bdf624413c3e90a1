"""The patient's body found on an image in Hounsfield units, without the couch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.calibration.peaks import Numbers
from engines.errors import EngineError
from engines.grid import Grid

AIR_BELOW_HU = -300.0
"""Denser is body (chosen midway between lung tissue, about -700, and fat, about -100)."""

COARSE_MM = 4.0
"""Voxels that the body is told from the couch on (chosen: a couch top is thinner than two of them)."""

GROWN_VOXELS = 2
"""Coarse voxels added round the coarse body, that the fine one is looked for in (chosen: opening takes off two)."""


def body_of(hu: Numbers, grid: Grid) -> NDArray[np.bool_]:
    """The largest connected part denser than AIR_BELOW_HU, holes filled slice by slice, (z, y, x).

    Couch tops and masks thinner than two coarse voxels that touch it do not belong to it. Raises EngineError if there
    is nothing that dense."""
    counts = [max(1, round(COARSE_MM / step)) for step in grid.spacing_mm[::-1]]
    coarse = hu[tuple(slice(count // 2, None, count) for count in counts)] > AIR_BELOW_HU
    opened = ndimage.binary_opening(np.pad(coarse, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    parts, found = ndimage.label(opened if opened.any() else coarse)
    if not found:
        raise EngineError("there is no body on the image")
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    grown = np.asarray(ndimage.binary_dilation(parts == sizes.argmax(), iterations=GROWN_VOXELS), np.bool_)
    near = [
        np.minimum(np.arange(size) // count, part - 1)
        for size, count, part in zip(grid.shape, counts, grown.shape, strict=True)
    ]
    body = np.zeros(grid.shape, np.bool_)
    rows, columns = (np.flatnonzero(np.asarray(grown.any(axis=(0, 3 - axis)))[near[axis]]) for axis in (1, 2))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    for plane in range(grid.shape[0]):
        allowed = grown[near[0][plane], near[1][box[0], None], near[2][None, box[1]]]
        dense = hu[plane, box[0], box[1]] > AIR_BELOW_HU
        body[plane, box[0], box[1]] = ndimage.binary_fill_holes(allowed & dense)
    return body
