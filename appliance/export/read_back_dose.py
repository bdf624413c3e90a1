"""The dose that was written, as a reader sees it, against the dose that was approved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.export.differences import POSITION_TOLERANCE_MM, near_all, require
from engines.grid import Grid

DOSE_TOLERANCE = 1e-4
"""Part of the maximum dose: what we promise (writing rounds to 7.7e-6 of it)."""


def compare_dose(
    what: str, read: Grid, read_gy: NDArray[np.floating], approved: Grid, approved_gy: NDArray[np.float32]
) -> None:
    """The written box must lie voxel on voxel in the approved grid, hold the same dose, and leave none outside.

    Raises ReadBackMismatch naming the first difference."""
    near_all(f"{what}, voxel size (mm)", read.spacing_mm, approved.spacing_mm, POSITION_TOLERANCE_MM)
    require(read_gy.shape == read.shape, f"{what}: its values do not fill its grid")
    lower = _offset(what, read, approved)
    box = tuple(slice(low, low + count) for low, count in zip(lower, read.shape, strict=True))
    require(
        min(lower) >= 0 and approved_gy[box].shape == read.shape, f"{what}: its grid reaches beyond the approved one"
    )
    tolerance_gy = DOSE_TOLERANCE * float(approved_gy.max())
    error_gy = np.abs(read_gy.astype(np.float64) - approved_gy[box])
    if not float(error_gy.max()) <= tolerance_gy:  # also for values that are not numbers
        at = np.unravel_index(int(np.argmax(error_gy)), read.shape)
        require(False, f"{what}: {read_gy[at]:.4f} Gy was written where {approved_gy[box][at]:.4f} Gy was approved")
    outside = approved_gy.copy()
    outside[box] = 0
    require(float(outside.max()) <= tolerance_gy, f"{what}: voxels with dose lie outside the written grid")


def _offset(what: str, read: Grid, approved: Grid) -> tuple[int, int, int]:
    """Index (z, y, x) of the written box's first voxel in the approved grid."""
    exact = (np.array(read.origin_mm) - approved.origin_mm) / approved.spacing_mm
    index = np.rint(exact)
    off_mm = np.abs(exact - index) * approved.spacing_mm
    require(bool(np.all(off_mm <= POSITION_TOLERANCE_MM)), f"{what}: its grid is shifted against the approved one")
    x, y, z = (int(value) for value in index)
    return z, y, x
