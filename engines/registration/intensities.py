"""One image in the values of another, so that differences between them mean motion: slow shading taken out, and for
images of another kind the values translated."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Intensities(StrEnum):
    """Of the fixed image against the moving one. SAME: both in Hounsfield units. SHADED: near them, with a scale of its
    own and slow shading (cone-beam CT). OTHER: another kind of image, in which each tissue has some value (MR)."""

    SAME = "same"
    SHADED = "shaded"
    OTHER = "other"


ORDER = 3
"""Of the polynomial that is the shading (chosen: cupping is of order 2, a drift across 250 mm of order 3; a polynomial
cannot follow the anatomy, as a local mean does, which took misaligned tissue for shading)."""

TISSUE_HU = (-300.0, 400.0)
"""Values that the shading is fitted to (chosen: no gas, no teeth)."""

ROUNDS = 5
OUTLIERS, LEAST_OUTLIER_HU = 2.5, 25.0
"""Differences above this many median ones are left out of the next round: tissue that lies elsewhere (chosen)."""

SCALE_RANGE = (0.7, 1.5)
"""Of the values (chosen: beyond it the scale has followed something else)."""

THINNING = 2
"""Every other voxel along each axis is fitted to."""

BINS, BIN_SMOOTHING = 48, 1.0
"""Of the fixed image's values when they are translated, and the Gaussian over them, in bins (chosen)."""


def in_values_of(fixed: Values, seen: Values, compared: Mask, kind: Intensities) -> Values:
    """fixed (z, y, x) in the values of `seen`, the moving image by the registration so far. compared: where both show
    the body."""
    if kind is Intensities.SAME or not compared.any():
        return fixed
    if kind is Intensities.OTHER:
        fixed = _translated(fixed, seen, compared)
    return _unshaded(fixed, seen, compared)


def _translated(fixed: Values, seen: Values, compared: Mask) -> Values:
    """Each value of the fixed image becomes the mean of what the moving one shows there (correlation ratio: Roche et
    al., MICCAI 1998, LNCS 1496:1115; demons with it: Guimond et al., IEEE Trans Med Imaging 20:58, 2001)."""
    known = fixed[compared]
    low, high = np.percentile(known, [0.5, 99.5])
    if high <= low:
        return fixed
    bins = np.rint(np.clip((known - low) / (high - low), 0, 1) * (BINS - 1)).astype(np.intp)
    count = np.bincount(bins, minlength=BINS)
    total = np.bincount(bins, np.clip(seen[compared], *TISSUE_HU), minlength=BINS)
    mean = gaussian_filter1d(total, BIN_SMOOTHING) / np.maximum(
        gaussian_filter1d(count.astype(float), BIN_SMOOTHING), 1
    )
    return np.interp(fixed, np.linspace(low, high, BINS), mean).astype(np.float32)


def _unshaded(fixed: Values, seen: Values, compared: Mask) -> Values:
    """scale * fixed + polynomial of the place, fitted to `seen`: the polynomial by least squares, the scale by both
    images' spread (least squares would take it too small where they do not lie on each other yet)."""
    low, high = TISSUE_HU
    chosen = np.zeros_like(compared)
    thin = (slice(None, None, THINNING),) * 3
    chosen[thin] = compared[thin] & (np.minimum(fixed, seen)[thin] > low) & (np.maximum(fixed, seen)[thin] < high)
    powers = [np.linspace(-1, 1, count)[:, None] ** np.arange(ORDER + 1) for count in fixed.shape]
    terms = [(i, j, k) for i in range(ORDER + 1) for j in range(ORDER + 1 - i) for k in range(ORDER + 1 - i - j)]
    place = np.nonzero(chosen)
    if place[0].size < 10 * len(terms):
        return fixed
    along = [power[index] for power, index in zip(powers, place, strict=True)]
    matrix = np.stack([along[0][:, i] * along[1][:, j] * along[2][:, k] for i, j, k in terms], axis=1)
    scale, weights = _fitted(matrix, fixed[chosen].astype(np.float64), seen[chosen].astype(np.float64))
    cube = np.zeros((ORDER + 1,) * 3)
    for term, weight in zip(terms, weights, strict=True):
        cube[term] = weight
    shading = np.einsum("ijk,zi,yj,xk->zyx", cube, *powers, optimize=True)
    return np.asarray(np.float32(scale) * fixed + shading.astype(np.float32), np.float32)


def _fitted(
    matrix: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    scale, kept = 1.0, np.ones(one.size, np.bool_)
    weights = np.zeros(matrix.shape[1])
    for _ in range(ROUNDS):
        found = np.linalg.lstsq(matrix[kept], (other - scale * one)[kept], rcond=None)[0]
        weights = np.asarray(found, np.float64)
        shading = matrix @ weights
        off = np.abs(other - scale * one - shading)
        kept = off < max(OUTLIERS * float(np.median(off)), LEAST_OUTLIER_HU)
        flat = (one + shading / scale)[kept]
        scale = float(np.clip(np.sqrt(np.var(other[kept]) / max(float(np.var(flat)), 1.0)), *SCALE_RANGE))
    return scale, np.asarray(weights, np.float64)
