"""A field mended where it folds or comes near to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from engines.grid import Grid
from engines.registration.field import DisplacementField

LEAST_JACOBIAN = 0.2
"""Of a mended field (chosen: no tissue loses four fifths of its volume from day to day, and trilinear reading between
voxels stays one-to-one)."""

LOCAL_ROUNDS = 10
"""Of smoothing only around the folds, before the whole field is smoothed (chosen: one or two do as a rule)."""


def unfolded(displacement_mm: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """u (z, y, x, 3) with a Jacobian of at least LEAST_JACOBIAN everywhere.

    Around voxels below it the field is blended with its own Gaussian mean, wider in every round; the whole field if
    LOCAL_ROUNDS do not do. It ends, because a field that is smoothed ever wider becomes constant, whose Jacobian is
    1."""
    field, round_ = displacement_mm, 0
    while True:
        bad = DisplacementField(grid, field).jacobian() < LEAST_JACOBIAN
        if not bad.any():
            return field
        sigma = 1.0 + 0.5 * round_ if round_ < LOCAL_ROUNDS else 2.0 ** (round_ - LOCAL_ROUNDS + 2)
        smooth = np.stack([gaussian_filter(field[..., axis], sigma, mode="nearest") for axis in range(3)], axis=-1)
        if round_ < LOCAL_ROUNDS:
            around = binary_dilation(bad, iterations=int(np.ceil(2 * sigma)))
            share = gaussian_filter(around.astype(np.float32), sigma)[..., None]
            smooth = field + share * (smooth - field)
        field, round_ = np.asarray(smooth, np.float32), round_ + 1
