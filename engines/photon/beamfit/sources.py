"""In-air fluence of rectangular fields at the isocentre plane, from the sources of a superposition model.

Primary photons: the aperture blurred by the source's Gaussian, times the in-air profile. Head scatter: the part of a
Gaussian extra-focal source that a point sees through the aperture. The same formulas as the collapsed cone's fluence
(engines/photon/superposition/model.py), closed for rectangles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from engines.photon.superposition.model import ExtraFocal

Array = NDArray[np.float64]

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))


def blurred_edge(x_mm: Array, half_mm: float, sigma_mm: float) -> Array:
    """A slit from -half to half, blurred by a Gaussian: 1 inside, 0 outside."""
    scale = np.sqrt(2.0) * max(sigma_mm, 1e-3)
    return np.asarray(0.5 * (erf((x_mm + half_mm) / scale) - erf((x_mm - half_mm) / scale)))


def primary(u_mm: Array, v_mm: Array, half_mm: tuple[float, float], source_fwhm_mm: float) -> Array:
    """Primary fluence through a rectangle (half sides at the isocentre plane), without the profile."""
    sigma = source_fwhm_mm / FWHM
    return blurred_edge(u_mm, half_mm[0], sigma) * blurred_edge(v_mm, half_mm[1], sigma)


def head_scatter(u_mm: Array, v_mm: Array, half_mm: tuple[float, float], head: ExtraFocal, sad_mm: float) -> Array:
    """Share of the extra-focal source that is seen, 1 in a field so wide that all is."""
    return _seen(u_mm, half_mm[0], head, sad_mm) * _seen(v_mm, half_mm[1], head, sad_mm)


def _seen(x_mm: Array, half_mm: float, head: ExtraFocal, sad_mm: float) -> Array:
    """Along one axis: a point at x looks past the edges (at collimator_mm from the target) onto the source's plane."""
    stretch = (sad_mm - head.distance_mm) / (sad_mm - head.collimator_mm)
    edge = half_mm * head.collimator_mm / sad_mm
    low, high = (x_mm + (side * edge - x_mm) * stretch for side in (-1.0, 1.0))
    scale = np.sqrt(2.0) * head.sigma_mm
    return np.asarray(0.5 * (erf(high / scale) - erf(low / scale)))
