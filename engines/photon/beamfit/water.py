"""Dose of rectangular fields in water from pencils: quick enough (milliseconds a field) to be fitted.

A point at depth d below the surface sees rings of pencils around its own ray; a ring of radius r there is one of r / s
on the isocentre plane, s = (SSD + d) / SAD, and the fluence has fallen to 1/s^2 (rays diverge; pencils do not widen
with them). In flat water this is the superposition that the collapsed cone approximates; kernels are not tilted, and
the spectrum is the axis' own everywhere except for the attenuation of off-axis rays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from engines.photon.beamfit import sources
from engines.photon.beamfit.pencils import Pencils
from engines.photon.superposition.model import Contamination, ExtraFocal

Array = NDArray[np.float64]

AZIMUTHS = 32
HEAD_STEP_MM = 3.0
"""Between radii of head scatter, whose blur is ten times as wide (chosen)."""
KEPT_FIELDS = 512
"""Fields whose fluence around the axis is kept: a table of output factors has 81."""
PITCH_MM, BASIS_PITCH_MM = 1.0, 2.0
"""Rasters of whole profiles, and of a profile's knots, which are looked at inside the field only."""
AROUND_MM = 80.0
KERMA_DEPTHS_MM = np.arange(0.0, 1001.0, 5.0)


@dataclass(frozen=True, eq=False)
class Head:
    """What leaves the head, as in SuperpositionModel; softening as its softening_per_deg."""

    fluence: Array
    softening_per_deg: tuple[float, float, float]
    profile_radius_mm: Array
    profile_relative: Array
    source_fwhm_mm: float
    extra_focal: ExtraFocal
    contamination: Contamination
    transmission: float = 0.0


@dataclass(frozen=True)
class Field:
    """Half sides at the isocentre plane, and the surface's distance from the source, mm."""

    half_mm: tuple[float, float]
    ssd_mm: float


class Water:
    """Dose in water of one head, per unit in-air water kerma on the axis of a wide primary beam at SAD."""

    def __init__(self, pencils: Pencils, head: Head, sad_mm: float) -> None:
        self.pencils, self.head, self.sad_mm = pencils, head, sad_mm
        self.rings = pencils.mix(head.fluence)
        released = head.fluence * pencils.energy_mev * pencils.collision_kerma
        kerma = np.exp(-0.1 * np.outer(KERMA_DEPTHS_MM, pencils.attenuation_cm2_g)) @ released
        self._log_kerma = np.log(kerma / kerma[0])
        self._planes: dict[tuple[Field, float], tuple[Array, Array]] = {}
        self._kernels: dict[tuple[float, ...], NDArray[np.complex128]] = {}
        edges = pencils.radius_edges_mm
        self._middle_mm = 0.5 * (edges[:-1] + edges[1:])
        self._on_axis: dict[tuple[Field, bytes], Array] = {}

    def on_axis(self, field: Field, depth_mm: Array) -> Array:
        """Dose (n,) at depths of 0 to 400 mm."""
        known = (field, depth_mm.tobytes())
        if known not in self._on_axis:
            self._on_axis[known] = self._axis_dose(field, depth_mm)
        return self._on_axis[known]

    def _axis_dose(self, field: Field, depth_mm: Array) -> Array:
        stretch = (field.ssd_mm + depth_mm) / self.sad_mm
        radius = self._middle_mm[None, :] / stretch[:, None]
        grid, primary, scattered = self._averaged(field.half_mm)
        fallen = self._head_distance(field.ssd_mm + depth_mm)[:, None]
        seen = np.interp(radius, grid, primary) / stretch[:, None] ** 2 + np.interp(radius, grid, scattered) * fallen
        seen *= self._softened(radius, depth_mm[:, None])
        zero = np.zeros(depth_mm.shape)
        dose = (seen * self._rings_at(depth_mm)).sum(axis=1)
        return np.asarray(dose + self._electrons(field, zero, zero, depth_mm))

    def in_air(self, half_mm: tuple[float, float]) -> float:
        """Kerma on the axis at the isocentre."""
        zero = np.zeros(1)
        return float(sum(part[0] for part in self._fluence(zero, zero, half_mm)))

    def across(self, field: Field, depth_mm: float, x_mm: Array, y_mm: Array) -> Array:
        """Dose (n,) at points across the beam at one depth."""
        u, v = (x * self.sad_mm / (field.ssd_mm + depth_mm) for x in (x_mm, y_mm))
        if (field, depth_mm) not in self._planes:
            axis = self._axis(field, PITCH_MM)
            primary, scattered = self._fluence(axis[None, :], axis[:, None], field.half_mm)
            self._planes[field, depth_mm] = axis, self._spread(primary, scattered, axis, field, depth_mm)
        axis, dose = self._planes[field, depth_mm]
        return _bilinear(axis, dose, u, v) + self._electrons(field, u, v, np.full(u.shape, depth_mm))

    def profile_basis(self, field: Field, depth_mm: float, x_mm: Array, y_mm: Array) -> tuple[Array, Array]:
        """((knots, n), (n,)): dose of each knot of the in-air profile at points across the beam, and the rest (head
        scatter, electrons): the dose is linear in the profile."""
        u, v = (x * self.sad_mm / (field.ssd_mm + depth_mm) for x in (x_mm, y_mm))
        axis = self._axis(field, BASIS_PITCH_MM)
        radius = np.hypot(axis[None, :], axis[:, None])
        opening = self._opening(axis[None, :], axis[:, None], field.half_mm)
        nothing = np.zeros_like(opening)
        knots = []
        for row in np.eye(self.head.profile_radius_mm.size):
            part = np.interp(radius, self.head.profile_radius_mm, row) * opening
            knots.append(_bilinear(axis, self._spread(part, nothing, axis, field, depth_mm), u, v))
        _, scattered = self._fluence(axis[None, :], axis[:, None], field.half_mm)
        rest = _bilinear(axis, self._spread(nothing, scattered, axis, field, depth_mm), u, v)
        return np.array(knots), rest + self._electrons(field, u, v, np.full(u.shape, depth_mm))

    def _opening(self, u_mm: Array, v_mm: Array, half_mm: tuple[float, float]) -> Array:
        """Primary fluence without the profile: the aperture from the source, and what the collimator lets through."""
        opening = sources.primary(u_mm, v_mm, half_mm, self.head.source_fwhm_mm)
        opening = self.head.transmission + (1.0 - self.head.transmission) * opening
        return np.asarray((1.0 - self.head.extra_focal.weight) * opening)

    def _fluence(self, u_mm: Array, v_mm: Array, half_mm: tuple[float, float]) -> tuple[Array, Array]:
        """Kerma at depth 0 and SAD of primary and head scatter."""
        radius = np.hypot(u_mm, v_mm)
        profile = np.interp(radius, self.head.profile_radius_mm, self.head.profile_relative)
        head = self.head.extra_focal
        scattered = sources.head_scatter(u_mm, v_mm, half_mm, head, self.sad_mm)
        return profile * self._opening(u_mm, v_mm, half_mm), head.weight * scattered

    def _head_distance(self, distance_mm: Array) -> Array:
        """Inverse square of head scatter, from its own source."""
        origin = self.head.extra_focal.distance_mm
        return np.asarray(((self.sad_mm - origin) / (distance_mm - origin)) ** 2)

    def _axis(self, field: Field, pitch_mm: float) -> Array:
        """Nodes along each side: the field and what lies AROUND_MM beside it."""
        count = np.ceil((max(field.half_mm) + AROUND_MM) / pitch_mm)
        return np.arange(-count, count + 1) * pitch_mm

    def _spread(self, primary: Array, scattered: Array, axis: Array, field: Field, depth_mm: float) -> Array:
        """Dose on the raster at one depth."""
        stretch = (field.ssd_mm + depth_mm) / self.sad_mm
        fallen = float(self._head_distance(np.array([field.ssd_mm + depth_mm]))[0])
        radius = np.hypot(axis[None, :], axis[:, None])
        fluence = (primary / stretch**2 + scattered * fallen) * self._softened(radius, np.array(depth_mm))
        pitch = float(axis[1] - axis[0])
        kernel_key = (axis.size, pitch, depth_mm, stretch)
        if kernel_key not in self._kernels:
            self._kernels[kernel_key] = fft.rfft2(self._kernel(axis.size, pitch, depth_mm, stretch))
        return _convolved(fluence, self._kernels[kernel_key])

    def _averaged(self, half_mm: tuple[float, float]) -> tuple[Array, Array, Array]:
        """(radii, azimuthal means of primary and head scatter there) of a field."""
        head = self.head
        grid, opening = opening_around(half_mm, head.source_fwhm_mm)
        primary = head.transmission + (1.0 - head.transmission) * opening
        primary = primary * np.interp(grid, head.profile_radius_mm, head.profile_relative)
        weight = head.extra_focal.weight
        coarse, seen = head_scatter_around(half_mm, replace(head.extra_focal, weight=1.0), self.sad_mm)
        return grid, (1.0 - weight) * primary, weight * np.interp(grid, coarse, seen)

    def _softened(self, radius_mm: Array, depth_mm: Array) -> Array:
        """What the greater attenuation of off-axis rays takes off by a depth."""
        angle = np.degrees(np.arctan(radius_mm / self.sad_mm))
        c1, c2, c3 = self.head.softening_per_deg
        softer = 1.0 + c1 * angle + c2 * angle**2 + c3 * angle**3
        return np.asarray(self.kerma(depth_mm * softer) / self.kerma(depth_mm))

    def kerma(self, depth_mm: Array) -> Array:
        """Primary collision kerma on the axis at depths (any shape), relative to depth 0, inverse square left out: the
        beam hardens on its way, as in superposition/terma.py."""
        return np.asarray(np.exp(np.interp(depth_mm, KERMA_DEPTHS_MM, self._log_kerma)))

    def _rings_at(self, depth_mm: Array) -> Array:
        """(n, R) at depths (n,), linear between the middles of the bins and above the first."""
        place = np.clip(depth_mm - 0.5, -0.5, self.rings.shape[1] - 1.001)
        low = np.maximum(place.astype(int), 0)
        share = (place - low)[:, None]
        return np.asarray(self.rings.T[low] * (1 - share) + self.rings.T[low + 1] * share)

    def _kernel(self, size: int, pitch_mm: float, depth_mm: float, stretch: float) -> Array:
        """(n, n) share of a pencil's dose in each pixel of the isocentre plane, the pencil in pixel [0, 0] of a cyclic
        raster: rings spread over their pixels, the innermost pixel takes what is left."""
        cumulative = np.concatenate([[0.0], np.cumsum(self._rings_at(np.array([depth_mm]))[0])])
        edges = self.pencils.radius_edges_mm
        density = np.diff(cumulative) / (np.pi * np.diff(edges**2))
        offset = np.minimum(np.arange(2 * size), 2 * size - np.arange(2 * size)) * pitch_mm * stretch
        radius = np.hypot(offset[:, None], offset[None, :])
        kernel = np.exp(np.interp(radius, self._middle_mm, np.log(np.maximum(density, 1e-30))))
        kernel *= (pitch_mm * stretch) ** 2
        within = radius < 12.0
        kernel[0, 0] = 0.0
        inner = float(np.interp(12.0, edges, cumulative))
        kernel[0, 0] = max(inner - float(kernel[within].sum()), 0.0)
        return np.asarray(kernel)

    def _electrons(self, field: Field, u_mm: Array, v_mm: Array, depth_mm: Array) -> Array:
        """Contaminant electrons: the aperture blurred, times an exponential in depth."""
        e = self.head.contamination
        spread = sources.blurred_edge(u_mm, field.half_mm[0], e.sigma_mm)
        spread = spread * sources.blurred_edge(v_mm, field.half_mm[1], e.sigma_mm)
        stretch = (field.ssd_mm + depth_mm) / self.sad_mm
        return np.asarray(e.weight * np.exp(-e.attenuation_per_mm * depth_mm) * spread / stretch**2)


@lru_cache(maxsize=KEPT_FIELDS)
def opening_around(half_mm: tuple[float, float], source_fwhm_mm: float) -> tuple[Array, Array]:
    """(radii, azimuthal means there) of a rectangle's primary opening: the same for every beam of one source."""
    grid = _radii(half_mm, max(0.5, min(half_mm) / 20.0))
    return grid, sources.primary(*_circles(grid), half_mm, source_fwhm_mm).mean(axis=1)


@lru_cache(maxsize=KEPT_FIELDS)
def head_scatter_around(half_mm: tuple[float, float], head: ExtraFocal, sad_mm: float) -> tuple[Array, Array]:
    """(radii, azimuthal means there) of what is seen of an extra-focal source, whatever its weight."""
    grid = _radii(half_mm, HEAD_STEP_MM)
    return grid, sources.head_scatter(*_circles(grid), half_mm, head, sad_mm).mean(axis=1)


def _radii(half_mm: tuple[float, float], step_mm: float) -> Array:
    return np.arange(0.0, 1.5 * max(half_mm) + 200.0 + step_mm, step_mm)


def _circles(radius_mm: Array) -> tuple[Array, Array]:
    """u and v (radii, AZIMUTHS) over a quarter of each circle."""
    azimuth = (np.arange(AZIMUTHS) + 0.5) * 0.5 * np.pi / AZIMUTHS
    return radius_mm[:, None] * np.cos(azimuth), radius_mm[:, None] * np.sin(azimuth)


def _convolved(fluence: Array, transfer: NDArray[np.complex128]) -> Array:
    size, n = transfer.shape[0], fluence.shape[0]
    return np.asarray(fft.irfft2(fft.rfft2(fluence, (size, size)) * transfer, (size, size))[:n, :n])


def _bilinear(axis: Array, values: Array, u_mm: Array, v_mm: Array) -> Array:
    step = axis[1] - axis[0]
    column, row = (np.clip((x - axis[0]) / step, 0, axis.size - 1.001) for x in (u_mm, v_mm))
    i, j = column.astype(int), row.astype(int)
    s, t = column - i, row - j
    low = values[j, i] * (1 - s) + values[j, i + 1] * s
    high = values[j + 1, i] * (1 - s) + values[j + 1, i + 1] * s
    return np.asarray(low * (1 - t) + high * t)
