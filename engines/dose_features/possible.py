"""Where dose is possible: the body without air around it, as far as beams that cover the targets reach.

OpenKBP (Babier et al., Med Phys 48:5549, 2021) hands out such a mask with each patient and does not say how it was
made. Measured on 35 of its training patients with CT: in 19 of them it ends where voxels lie more than 35 to 40 mm
beside the targets as each of the nine beams sees them; in 16 it ends a slice or three beyond the targets, where a dose
grid seems to have been cut. The first is physics and is what is made here; the second is not. Dice coefficient of the
mask made here and theirs: 0.96 on average in both; on the 33 validation patients with CT 0.94, and 0.77 at least, where
the outlines differ (immobilisation and its air, shoulders, arms).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.dose_features.anatomy import Mask

REACH_MM = 36.0
"""At the isocentre, in each beam's view: chosen where the mask made here agrees best with OpenKBP's (see above)."""
AIR_HU = -400.0
"""Below it is air where the slice's outside can be reached through such voxels: chosen as above; masks, couch covers
and air between them lie inside outlines that were found by a threshold."""
SAD_MM = 1000.0
PIXEL_MM, PIXELS = 2.5, 400
"""Of a beam's view, 1 m wide; chosen: half of a fluence pixel."""


def possible_dose(
    body: Mask,
    target: Mask,
    ct_hu: NDArray[np.floating] | None,
    spacing_mm: tuple[float, float, float],
    gantry_deg: Sequence[float],
) -> Mask:
    """(z, y, x) of masks (z, y, x) in LPS, spacing (z, y, x) mm, coplanar gantry angles (IEC 61217). `target` is the
    union of all targets, their centre the isocentre; without a voxel in it nothing is possible. Targets in the body are
    always part of it, air in them too: all of OpenKBP's are."""
    if not target.any():
        return np.zeros(body.shape, np.bool_)
    kept = body if ct_hu is None else without_outside_air(body, ct_hu)
    made: Mask = (kept & within_reach(target, spacing_mm, gantry_deg)) | (body & target)
    return made


def without_outside_air(body: Mask, ct_hu: NDArray[np.floating]) -> Mask:
    """body without what is connected to its outside, slice by slice, through air. Nasal cavities and lungs stay."""
    solid = body & (ct_hu > AIR_HU)
    out = np.zeros_like(body)
    for index in np.flatnonzero(body.any(axis=(1, 2))):
        out[index] = body[index] & ndimage.binary_fill_holes(solid[index])
    return out


def within_reach(target: Mask, spacing_mm: tuple[float, float, float], gantry_deg: Sequence[float]) -> Mask:
    """Voxels that at least one beam sees at most REACH_MM beside the target, measured in the isocentre's plane."""
    at = np.argwhere(target)
    centre = at.mean(axis=0)
    z_mm, y_mm, x_mm = (
        ((np.arange(n) - middle) * step).astype(np.float32)
        for n, middle, step in zip(target.shape, centre, spacing_mm, strict=True)
    )
    made = np.zeros(target.shape, np.bool_)
    for angle in np.deg2rad(np.asarray(gantry_deg, float)):
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        grown = SAD_MM / (SAD_MM - (sin * x_mm[None, :] - cos * y_mm[:, None]))
        column = _pixel((cos * x_mm[None, :] + sin * y_mm[:, None]) * grown)
        view = np.zeros((PIXELS, PIXELS), np.bool_)
        rows, columns = np.broadcast_arrays(
            _pixel(z_mm[at[:, 0]] * grown[at[:, 1], at[:, 2]]), column[at[:, 1], at[:, 2]]
        )
        view[rows, columns] = True
        # Voxels are larger than pixels and leave gaps.
        view = ndimage.binary_closing(view, iterations=1 + int(max(spacing_mm) / PIXEL_MM / 2))
        seen = ndimage.distance_transform_edt(~view, PIXEL_MM) <= REACH_MM
        for index, z in enumerate(z_mm):
            made[index] |= seen[_pixel(z * grown), column]
    return made


def _pixel(mm: NDArray[np.floating]) -> NDArray[np.intp]:
    at: NDArray[np.intp] = np.floor(mm / PIXEL_MM + PIXELS / 2).astype(np.intp)
    return np.clip(at, 0, PIXELS - 1, out=at)
