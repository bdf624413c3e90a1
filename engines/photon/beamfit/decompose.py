"""From pencils to the three kernels of the singular-value pencil beam.

Bortfeld, Schlegel, Rhein (Med Phys 20:311, 1993) write a pencil's dose as sum_i f_i(d) w_i(r), f_i(d) = b_i / (b_i - m)
(exp(-m d) - exp(-b_i d)). For given m and b the w_i of every radius are a linear least squares over depth; m and b are
chosen so that the doses of circular fields, in which clinical beams are measured, are met best (variable projection).
Kernels are taken on the isocentre plane of one source-surface distance: a radius r at depth d lies at r / s there, s =
(SSD + d) / SAD, so that the divergence of scatter is in the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import PchipInterpolator
from scipy.optimize import least_squares

from engines.photon.beam_model import LateralKernels
from engines.photon.beamfit.pencils import Pencils
from engines.photon.superposition.model import ExtraFocal

Array = NDArray[np.float64]

RADIUS_STEP_MM, REACH_MM = 0.5, 180.0
DEPTHS_MM = np.concatenate([np.arange(2.0, 20.0, 2.0), np.arange(20.0, 351.0, 10.0)])
"""Where the sum has to hold. Above 2 mm depth the three terms cannot: they start from zero at the surface."""
FIELD_RADII_MM = np.array([5.0, 10.0, 20.0, 40.0, 56.0, 84.0, 112.0, 150.0])
"""Circular fields that m and b are chosen for: 20 mm to 270 mm squares."""
BUILD_UP_MM, BUILD_UP_WEIGHT = 15.0, 0.5
START = (0.0045, 0.3, 0.1, 0.0055)
LOWER, UPPER = (0.001, 0.15, 0.0065, 0.001), (0.012, 0.9, 0.15, 0.0062)
"""Bounds of m and the three b, 1/mm (chosen: around matRad's generic 6 MV, which has 0.0051; 0.33, 0.016, 0.0051)."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """m and b in 1/mm, kernels for each source-surface distance, and the largest miss of circular-field doses from
    15 mm depth on, as a share."""

    attenuation_per_mm: float
    betas_per_mm: tuple[float, float, float]
    kernels: tuple[LateralKernels, ...]
    worst: float


def decompose(pencils: Pencils, fluence: Array, *, sad_mm: float, ssd_mm: tuple[float, ...]) -> Decomposition:
    """Kernels of a spectrum (photons per bin) for a list of source-surface distances; the one in the middle chooses m
    and b. Doses are per unit water kerma of the wide beam, as Pencils.mix."""
    rings = pencils.mix(fluence)
    middle = ssd_mm[len(ssd_mm) // 2]
    circles = _circles(pencils, rings, sad_mm, middle, FIELD_RADII_MM)

    def misses(values: Array) -> Array:
        basis = depth_factors(values[0], values[1:], DEPTHS_MM)
        return np.asarray((_fitted(basis, circles) / circles - 1.0) * _weights()[:, None]).ravel()

    found = least_squares(misses, START, bounds=(LOWER, UPPER), x_scale=START)
    m, betas = float(found.x[0]), found.x[1:]
    basis = depth_factors(m, betas, DEPTHS_MM)
    radius = np.arange(0.0, REACH_MM + RADIUS_STEP_MM / 2, RADIUS_STEP_MM)
    tables = []
    for ssd in ssd_mm:
        density = _density(pencils, rings, sad_mm, ssd, radius)
        reference = _circles(pencils, rings, sad_mm, ssd, FIELD_RADII_MM[4:5])
        tables.append(LateralKernels(ssd, radius, _solve(basis, density, reference)))
    deep = DEPTHS_MM >= BUILD_UP_MM
    worst = float(np.abs(_fitted(basis, circles) / circles - 1.0)[deep].max())
    return Decomposition(m, (float(betas[0]), float(betas[1]), float(betas[2])), tuple(tables), worst)


def depth_factors(m: float, betas: Array, depth_mm: Array) -> Array:
    """f_i(d) as (n, 3)."""
    d = depth_mm[:, None]
    return np.asarray(betas / (betas - m) * (np.exp(-m * d) - np.exp(-betas * d)))


def with_head_scatter(kernels: LateralKernels, head: ExtraFocal, sad_mm: float) -> LateralKernels:
    """Kernels that also hold the dose of the extra-focal source: a convolution can only blur what the aperture lets
    through, so the source becomes a Gaussian on the isocentre plane, as wide as makes its share on the axis right."""
    stretch = head.collimator_mm * (sad_mm - head.distance_mm) / (sad_mm * (sad_mm - head.collimator_mm))
    sigma = head.sigma_mm / stretch
    step, radius = 1.0, kernels.radius_mm
    n = fft.next_fast_len(int(2 * (radius[-1] + 4 * sigma) / step) | 1, real=True)
    axis = np.minimum(np.arange(n), n - np.arange(n)) * step
    rho = np.hypot(axis[:, None], axis[None, :])
    frequency = np.hypot(fft.fftfreq(n, step)[:, None], fft.rfftfreq(n, step)[None, :])
    blur = np.exp(-2.0 * (np.pi * sigma * frequency) ** 2)
    values = np.empty_like(kernels.values)
    for i, row in enumerate(kernels.values):
        laid = np.interp(rho, radius, row, right=0.0)
        laid[0, 0] += (_integral(radius, row) - float(laid.sum()) * step**2) / step**2
        spread = fft.irfft2(fft.rfft2(laid) * blur, (n, n))[0, : n // 2]
        values[i] = (1.0 - head.weight) * row + head.weight * np.interp(radius, axis[: n // 2], spread)
    return LateralKernels(kernels.ssd_mm, radius, values)


def _integral(radius: Array, row: Array) -> float:
    """Over the plane, as the convolution lays a table out on 0.5 mm squares."""
    axis = np.arange(-radius[-1], radius[-1] + RADIUS_STEP_MM / 2, RADIUS_STEP_MM)
    laid = np.interp(np.hypot(axis[:, None], axis[None, :]), radius, row, right=0.0)
    return float(laid.sum()) * RADIUS_STEP_MM**2


def _weights() -> Array:
    return np.where(DEPTHS_MM < BUILD_UP_MM, BUILD_UP_WEIGHT, 1.0)


def _solve(basis: Array, values: Array, reference: Array) -> Array:
    """(3, n): least squares over depth of values (depths, n), relative to doses of a reference field (depths, 1)."""
    weight = (_weights() / reference[:, 0])[:, None]
    return np.asarray(np.linalg.lstsq(basis * weight, values * weight, rcond=None)[0])


def _fitted(basis: Array, circles: Array) -> Array:
    return np.asarray(basis @ _solve(basis, circles, circles[:, 4:5]))


def _cumulative(pencils: Pencils, rings: Array, depth_mm: float) -> PchipInterpolator:
    """Dose within a radius (mm) around the pencil at a depth."""
    place = float(np.clip(depth_mm - 0.5, 0.0, rings.shape[1] - 1.001))
    low = int(place)
    column = rings[:, low] * (1 - (place - low)) + rings[:, low + 1] * (place - low)
    return PchipInterpolator(pencils.radius_edges_mm, np.concatenate([[0.0], np.cumsum(column)]))


def _circles(pencils: Pencils, rings: Array, sad_mm: float, ssd_mm: float, radii_mm: Array) -> Array:
    """(depths, n) dose on the axis of circular fields, inverse square left out."""
    made = []
    for depth in DEPTHS_MM:
        stretch = (ssd_mm + depth) / sad_mm
        made.append(_cumulative(pencils, rings, float(depth))(radii_mm * stretch))
    return np.array(made)


def _density(pencils: Pencils, rings: Array, sad_mm: float, ssd_mm: float, radius_mm: Array) -> Array:
    """(depths, n) dose per area of the isocentre plane, the first over a disc of one 0.5 mm square around the axis."""
    low = np.maximum(radius_mm - RADIUS_STEP_MM / 2, 0.0)
    high = radius_mm + RADIUS_STEP_MM / 2
    high[0] = RADIUS_STEP_MM / np.sqrt(np.pi)
    low[1] = high[0]
    area = np.pi * (high**2 - low**2)
    made = []
    for depth in DEPTHS_MM:
        stretch = (ssd_mm + depth) / sad_mm
        cumulative = _cumulative(pencils, rings, float(depth))
        made.append((cumulative(high * stretch) - cumulative(low * stretch)) / area)
    return np.array(made)
