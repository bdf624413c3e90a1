"""Head scatter of the pencil beam: a second, wide source seen through the same aperture, as fluence of its own.

The source is the collapsed cone's (superposition/model.py, ExtraFocal): for a Gaussian of sigma in a plane at z_f, an
aperture at z_c and the isocentre at SAD, its fluence at u is that of the aperture, as projected from the target,
blurred by sigma (1 - a) SAD / z_c and taken at a u SAD / z_c, with a = (z_c - z_f) / (SAD - z_f). A kernel cannot do
that: it would show half of the source at a field's edge, where four fifths of it are seen in a 400 mm field.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from engines.photon.raster import Raster
from engines.photon.superposition.model import ExtraFocal

Array = NDArray[np.float32]

COARSE_SHARE = 0.25
"""Fluence is summed over squares of this share of the blur's sigma before it is blurred (chosen: off by 0.01 % of the
open fluence at worst, and less work than one of the three convolutions)."""


class HeadScatter:
    """Linear operator on fluence (beams, nv, nu), from what the aperture lets through of one unit to what reaches the
    isocentre plane in units of the in-air profile: (1 - weight) of it, and the head scatter over that profile, because
    the profile is multiplied on afterwards and head scatter has none. Fluence is per area of the plane; the pencil
    beam's inverse square counts the whole way of an oblique ray, which is made up for here, as it is in profiles."""

    def __init__(self, head: ExtraFocal, raster: Raster, sad_mm: float, profile: Array) -> None:
        self._weight = np.float32(head.weight)
        oblique = 1.0 + (raster.v_mm[:, None] ** 2 + raster.u_mm**2) / sad_mm**2
        self._over_profile = np.asarray(head.weight * oblique / profile, np.float32)
        size = (head, sad_mm, raster.pitch_mm)
        self._seen_v, self._sum_v = _seen(*size, raster.v0_mm, raster.nv)
        self._seen_u, self._sum_u = _seen(*size, raster.u0_mm, raster.nu)

    def add(self, fluence: Array) -> Array:
        """(beams, nv, nu) of the same shape."""
        coarse = self._sum_v @ (fluence @ self._sum_u.T)
        scattered = self._seen_v @ (coarse @ self._seen_u.T)
        scattered *= self._over_profile
        scattered += (1 - self._weight) * fluence
        return np.asarray(scattered, np.float32)

    def transposed(self, gradient: Array) -> Array:
        """Gradient of what `add` gives to gradient of what it takes."""
        coarse = self._seen_v.T @ ((gradient * self._over_profile) @ self._seen_u)
        fine = self._sum_v.T @ (coarse @ self._sum_u)
        fine += (1 - self._weight) * gradient
        return np.asarray(fine, np.float32)


@lru_cache(maxsize=32)
def _seen(head: ExtraFocal, sad_mm: float, pitch_mm: float, first_mm: float, count: int) -> tuple[Array, Array]:
    """Along one axis of nodes from first_mm on: (count, squares) share of the source that each node sees through each
    coarse square, over the pixels in it; (squares, count) which pixels each square holds."""
    a = (head.collimator_mm - head.distance_mm) / (sad_mm - head.distance_mm)
    sigma, scale = head.sigma_mm * (1 - a) * sad_mm / head.collimator_mm, a * sad_mm / head.collimator_mm
    starts = np.arange(0, count, max(1, int(COARSE_SHARE * sigma / pitch_mm)))
    pixels = np.diff(starts, append=count)
    edges = first_mm + (np.append(starts, count) - 0.5) * pitch_mm
    node = first_mm + np.arange(count) * pitch_mm
    share = np.diff(ndtr((edges[None, :] - scale * node[:, None]) / sigma), axis=1) / pixels
    member = np.repeat(np.arange(starts.size), pixels) == np.arange(starts.size)[:, None]
    return share.astype(np.float32), member.astype(np.float32)
