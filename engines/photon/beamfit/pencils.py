"""Pencil beams in water by superposing point kernels along the axis of the pencil.

A parallel pencil of monoenergetic photons releases TERMA mu/rho exp(-mu z) along its axis (coherent scattering left
out, as in the point kernels); every released share is spread by the kernel of its energy (Ahnesjo, Saxner, Trepp, Med
Phys 19:263, 1992, for pencil kernels from point kernels). Kept is not the dose at a radius but the integral over each
ring, from which the dose on the axis of any radially averaged field is one sum, and energy cannot be lost to sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.photon.photon_data import Attenuation
from engines.photon.point_kernels import PointKernels

Array = NDArray[np.float64]

DEPTHS_MM = 400
"""Pencils are tabulated for 400 mm of water in bins of 1 mm: deeper than any depth dose that is measured."""
UPSTREAM_MM = 60
"""Backscatter is followed this far (chosen: four times the range of the beam's electrons)."""
ANGLE_SAMPLES, RADIUS_SAMPLES = 8, 8
"""Points per kernel region along each coordinate when regions are laid into rings and slices (chosen: their steps are
then smaller than the rings they fall into)."""
KERNEL_STEP = 0.25
"""Rings begin at this radius, half of the pencil-beam tables' pitch, so that ring borders fall between their nodes."""


@dataclass(frozen=True, eq=False)
class Pencils:
    """Dose of a pencil of unit energy fluence, for each energy (E,): deposit (E, R, D) integrated over the rings
    radius_edges_mm (R + 1,), at depth_mm (D,), in cm2/g. attenuation_cm2_g (E,) without coherent scattering.
    primary_share (E,): of the released energy that the first interaction's electrons impart."""

    energy_mev: Array
    radius_edges_mm: Array
    depth_mm: Array
    deposit: Array
    attenuation_cm2_g: Array
    primary_share: Array

    @property
    def collision_kerma(self) -> Array:
        """(E,) cm2/g: what an energy fluence of one gives at depth 0 of a wide beam in equilibrium."""
        return np.asarray(self.attenuation_cm2_g * self.primary_share)

    def mix(self, fluence: Array) -> Array:
        """(R, D) for photons per bin (E,), in units of their collision kerma in water at depth 0: the units of the
        collapsed cone (superposition/terma.py)."""
        energy = fluence * self.energy_mev
        return np.asarray(np.tensordot(energy, self.deposit, 1) / (energy @ self.collision_kerma))


def ring_edges_mm() -> Array:
    """0 to 450 mm: 0.5 mm rings to 30 mm, then growing by 4 % each."""
    fine = KERNEL_STEP + 0.5 * np.arange(60)
    growing = [float(fine[-1])]
    while growing[-1] < 450.0:
        growing.append(growing[-1] + max(0.5, 0.04 * growing[-1]))
    return np.asarray(np.concatenate([[0.0], fine, growing[1:]]), np.float64)


def make_pencils(kernels: PointKernels, attenuation: Attenuation, energy_mev: Array) -> Pencils:
    """Pencils at energies (E,) within the kernels' range; kernels between tabulated energies are interpolated in log
    energy, attenuation is taken at each energy itself."""
    edges = ring_edges_mm()
    laid = _laid_out(kernels, edges)
    mu = attenuation.at(energy_mev)
    depth = np.arange(DEPTHS_MM) + 0.5
    deposit = np.empty((energy_mev.size, edges.size - 1, DEPTHS_MM))
    position = np.interp(np.log(energy_mev), np.log(kernels.energy_mev), np.arange(kernels.energy_mev.size))
    for i, (where, coefficient) in enumerate(zip(position, mu, strict=True)):
        low = min(int(where), kernels.energy_mev.size - 2)
        spread = laid[low] * (1 - (where - low)) + laid[low + 1] * (where - low)
        deposit[i] = _superposed(spread, coefficient)
    own = kernels.primary.sum(axis=(1, 2))
    share = np.asarray(np.interp(np.log(energy_mev), np.log(kernels.energy_mev), own), np.float64)
    return Pencils(energy_mev, edges, np.asarray(depth, np.float64), deposit, mu, share)


def _laid_out(kernels: PointKernels, edges: Array) -> Array:
    """(E, R, slices): share of the energy released at the middle of slice UPSTREAM_MM that lands in each ring and each
    slice of 1 mm."""
    rings, slices = edges.size - 1, UPSTREAM_MM + DEPTHS_MM
    cosines = np.cos(np.radians(kernels.angle_edges_deg))
    share = (np.arange(ANGLE_SAMPLES) + 0.5) / ANGLE_SAMPLES
    cosine = cosines[:-1, None] + (cosines[1:] - cosines[:-1])[:, None] * share
    part = (np.arange(RADIUS_SAMPLES) + 0.5) / RADIUS_SAMPLES
    radius = kernels.radius_edges_mm[:-1, None] + np.diff(kernels.radius_edges_mm)[:, None] * part
    z = cosine[:, None, :, None] * radius[None, :, None, :]
    r = np.sqrt(1 - cosine**2)[:, None, :, None] * radius[None, :, None, :]
    ring = np.searchsorted(edges, r, side="right") - 1
    # Release is spread evenly over its slice; a deposit at distance z falls into two slices.
    place = z + UPSTREAM_MM
    below = np.floor(place).astype(int)
    upper = place - below
    total = kernels.primary + kernels.scatter
    out = np.zeros((kernels.energy_mev.size, rings, slices))
    for offset, weight in ((0, 1 - upper), (1, upper)):
        index = below + offset
        inside = (ring < rings) & (index >= 0) & (index < slices)
        cell = (ring * slices + index)[inside]
        for e in range(kernels.energy_mev.size):
            value = total[e][:, :, None, None] * weight / (ANGLE_SAMPLES * RADIUS_SAMPLES)
            out[e] += np.bincount(cell, value[inside], rings * slices).reshape(rings, slices)
    return out


def _superposed(spread: Array, mu_cm2_g: float) -> Array:
    """(R, D) of one energy: TERMA of every slice, spread from there. Water of 1 g/cm3."""
    mu = 0.1 * mu_cm2_g
    begin = np.arange(DEPTHS_MM + UPSTREAM_MM, dtype=np.float64)
    released = mu_cm2_g * np.exp(-mu * begin) * (1 - np.exp(-mu)) / mu
    size = 2 * (DEPTHS_MM + UPSTREAM_MM)
    product = np.fft.rfft(released, size) * np.fft.rfft(spread, size, axis=1)
    whole = np.fft.irfft(product, size, axis=1)
    return np.asarray(whole[:, UPSTREAM_MM : UPSTREAM_MM + DEPTHS_MM])
