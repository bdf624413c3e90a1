"""From pencils to the three kernels of the singular-value pencil beam.

Bortfeld, Schlegel, Rhein (Med Phys 20:311, 1993) write a pencil's dose as sum_i f_i(d) w_i(r), f_i(d) = b_i / (b_i - m)
(exp(-m d) - exp(-b_i d)). For given m and b the w_i of every radius are a linear least squares over depth; m and b are
chosen so that the doses of circular fields, in which clinical beams are measured, are met best (variable projection).
Kernels are taken on the isocentre plane of one source-surface distance: a radius r at depth d lies at r / s there, s =
(SSD + d) / SAD, so that the divergence of scatter is in the kernels. So are contaminant electrons, and that head
scatter falls with the distance from a source of its own. Its fluence is not: head_scatter.py adds it to the
aperture's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import least_squares

from engines.photon.beam_model import LateralKernels
from engines.photon.beamfit import sources
from engines.photon.beamfit.pencils import Pencils
from engines.photon.superposition.model import Contamination, ExtraFocal

Array = NDArray[np.float64]

RADIUS_STEP_MM = 0.5
RADII_MM = np.concatenate([np.arange(0.0, 60.0, 0.5), np.arange(60.0, 120.0, 1.0), np.arange(120.0, 220.1, 2.0)])
"""Of the kernel tables (chosen: to 180 mm a 400 mm field lacks half a percent of the dose on its axis)."""
BUILD_UP_MM, BUILD_UP_WEIGHT = 14.0, 0.15
"""Three terms start from zero at the surface and cannot follow build-up and depth alike. Chosen: at 0.1 the fit misses
depths from 14 mm on by 0.9 % and 10 mm by 4 %, at 0.2 by 1.6 and 3 %."""
DEPTHS_MM = np.concatenate([np.arange(2.0, BUILD_UP_MM, 2.0), np.arange(14.0, 31.0, 4.0), np.arange(40.0, 301.0, 10.0)])
"""Where the sum has to hold."""
NORMAL_MM, FACTOR_MM = 100.0, 50.0
"""Depths where depth doses are set equal and where output factors are measured."""
FIELD_RADII_MM = np.array([5.0, 10.0, 17.0, 22.5, 40.0, 56.0, 84.0, 112.0, 150.0, 200.0])
"""Circular fields that m and b are chosen for: 10 mm to 350 mm squares."""
REFERENCE = 5
"""That of about 100 mm square."""
FACTOR_WEIGHT = 3.0
"""Of a miss between fields at FACTOR_MM against one in a depth dose, of which there are forty times as many
(chosen)."""
POWER = 1.5
"""Misses count with this power before they are squared: the largest ones most (chosen)."""
START = (0.0041, 0.6, 0.1, 0.0085)
LOWER, UPPER = (0.001, 0.2, 0.012, 0.0005), (0.011, 2.5, 0.6, 0.03)
"""Bounds of m and the three b, 1/mm (chosen: wider than what spectra of 4 to 10 MV ask for)."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """m and b in 1/mm, kernels for each source-surface distance, and the largest miss of circular-field doses from
    BUILD_UP_MM on, as a share."""

    attenuation_per_mm: float
    betas_per_mm: tuple[float, float, float]
    kernels: tuple[LateralKernels, ...]
    worst: float


@dataclass(frozen=True, eq=False)
class Beamlet:
    """What a pencil of a beam gives in water: rings (R, D) as Pencils.mix, electrons and head scatter of the beam."""

    pencils: Pencils
    rings: Array
    electrons: Contamination
    head: ExtraFocal
    sad_mm: float

    def within(self, depth_mm: float, ssd_mm: float, radius_mm: Array) -> Array:
        """Dose at a depth from within radii (n,) on the isocentre plane, inverse square left out, per unit water kerma
        of the wide beam."""
        stretch = (ssd_mm + depth_mm) / self.sad_mm
        e = self.electrons
        share = 1.0 - np.exp(-0.5 * (radius_mm / e.sigma_mm) ** 2)
        photons = self._cumulative(depth_mm)(radius_mm * stretch) * self._fallen(ssd_mm + depth_mm)
        return np.asarray(photons + e.weight * np.exp(-e.attenuation_per_mm * depth_mm) * share)

    def _fallen(self, distance_mm: float) -> float:
        """By how much head scatter, in the share of it that a 100 mm field sees, makes the dose fall faster."""
        origin, zero = self.head.distance_mm, np.zeros(1)
        ratio = ((self.sad_mm - origin) / (distance_mm - origin) * distance_mm / self.sad_mm) ** 2
        seen = float(sources.head_scatter(zero, zero, (50.0, 50.0), self.head, self.sad_mm)[0])
        return 1.0 + self.head.weight * seen * (ratio - 1.0)

    def _cumulative(self, depth_mm: float) -> PchipInterpolator:
        """Dose within a radius (mm) around the pencil at a depth."""
        place = float(np.clip(depth_mm - 0.5, 0.0, self.rings.shape[1] - 1.001))
        low = int(place)
        column = self.rings[:, low] * (1 - (place - low)) + self.rings[:, low + 1] * (place - low)
        return PchipInterpolator(self.pencils.radius_edges_mm, np.concatenate([[0.0], np.cumsum(column)]))


def decompose(beamlet: Beamlet, ssd_mm: tuple[float, ...]) -> Decomposition:
    """Kernels for a list of source-surface distances; the one in the middle chooses m and b."""
    circles = _circles(beamlet, ssd_mm[len(ssd_mm) // 2], FIELD_RADII_MM)
    deep = DEPTHS_MM >= BUILD_UP_MM
    normal, factor = (int(np.argmin(np.abs(DEPTHS_MM - at))) for at in (NORMAL_MM, FACTOR_MM))

    def misses(values: Array) -> Array:
        off = _fitted(depth_factors(values[0], values[1:], DEPTHS_MM), circles) / circles - 1.0
        shape, factors = (off - off[normal])[deep], off[factor] - off[factor, REFERENCE]
        parts = ((off * _weights()[:, None]).ravel(), shape.ravel(), FACTOR_WEIGHT * factors)
        return np.asarray((100.0 * np.abs(np.concatenate(parts))) ** POWER)

    found = least_squares(misses, START, bounds=(LOWER, UPPER), x_scale=START)
    m, betas = float(found.x[0]), found.x[1:]
    basis = depth_factors(m, betas, DEPTHS_MM)
    tables = []
    for ssd in ssd_mm:
        reference = _circles(beamlet, ssd, FIELD_RADII_MM[REFERENCE : REFERENCE + 1])
        tables.append(LateralKernels(ssd, RADII_MM, _solve(basis, _density(beamlet, ssd, RADII_MM), reference)))
    worst = float(np.abs(_fitted(basis, circles) / circles - 1.0)[deep].max())
    return Decomposition(m, (float(betas[0]), float(betas[1]), float(betas[2])), tuple(tables), worst)


def depth_factors(m: float, betas: Array, depth_mm: Array) -> Array:
    """f_i(d) as (n, 3)."""
    d = depth_mm[:, None]
    return np.asarray(betas / (betas - m) * (np.exp(-m * d) - np.exp(-betas * d)))


def _weights() -> Array:
    return np.where(DEPTHS_MM < BUILD_UP_MM, BUILD_UP_WEIGHT, 1.0)


def _solve(basis: Array, values: Array, reference: Array) -> Array:
    """(3, n): least squares over depth of values (depths, n), relative to doses of a reference field (depths, 1)."""
    weight = (_weights() / reference[:, 0])[:, None]
    return np.asarray(np.linalg.lstsq(basis * weight, values * weight, rcond=None)[0])


def _fitted(basis: Array, circles: Array) -> Array:
    return np.asarray(basis @ _solve(basis, circles, circles[:, REFERENCE : REFERENCE + 1]))


def _circles(beamlet: Beamlet, ssd_mm: float, radii_mm: Array) -> Array:
    """(depths, n) dose on the axis of circular fields."""
    return np.array([beamlet.within(float(depth), ssd_mm, radii_mm) for depth in DEPTHS_MM])


def _density(beamlet: Beamlet, ssd_mm: float, radius_mm: Array) -> Array:
    """(depths, n) dose per area of the isocentre plane, the first over a disc of one 0.5 mm square around the axis."""
    low = np.maximum(radius_mm - RADIUS_STEP_MM / 2, 0.0)
    high = radius_mm + RADIUS_STEP_MM / 2
    high[0] = RADIUS_STEP_MM / np.sqrt(np.pi)
    low[1] = high[0]
    area = np.pi * (high**2 - low**2)
    return np.array(
        [(beamlet.within(float(d), ssd_mm, high) - beamlet.within(float(d), ssd_mm, low)) / area for d in DEPTHS_MM]
    )
