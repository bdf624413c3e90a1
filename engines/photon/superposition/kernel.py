"""Poly-energetic kernels for the collapsed cone: tabulated point kernels of a spectrum as sums of fixed exponentials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from engines.errors import EngineError
from engines.photon.photon_data import Attenuation
from engines.photon.photon_data import Spectrum as TabulatedSpectrum
from engines.photon.point_kernels import PointKernels
from engines.photon.superposition.model import FIRST_EXPONENT_PER_MM, TERM_RATIO, TERMS, ExponentialKernel, Spectrum

Array = NDArray[np.float64]


def from_data(
    spectrum: TabulatedSpectrum, attenuation: Attenuation, kernels: PointKernels
) -> tuple[Spectrum, ExponentialKernel]:
    """Spectrum and kernel of a superposition model from the shipped tables (models/spectra, models/kernels).

    Each energy's share of the kernel is its share of the energy released at the surface: fluence x energy x mu/rho.
    Raises EngineError where the tables do not cover the spectrum."""
    energy = spectrum.energy_mev
    mu = attenuation.at(energy)
    released = spectrum.fluence * energy * mu
    share = kernels.primary.sum(axis=(1, 2))
    primary, scatter = kernels.mix(_hats(energy, kernels.energy_mev) @ released)
    own = Spectrum(energy, spectrum.fluence, mu, np.interp(np.log(energy), np.log(kernels.energy_mev), share))
    return own, exponential_kernel(kernels.angle_edges_deg, kernels.radius_edges_mm, primary, scatter)


def exponential_kernel(
    polar_edges_deg: Array, radius_edges_mm: Array, primary: Array, scatter: Array
) -> ExponentialKernel:
    """Fits energy fractions (polar bins, shells) by non-negative weights of the fixed exponentials, bin by bin; shells
    count by the square root of their energy, so that neither the first millimetres nor the tail rules. What lies
    beyond the last shell follows from the fit; primary and scatter are then scaled to one.

    Raises EngineError for shapes that do not fit or a kernel without energy."""
    shape = (polar_edges_deg.size - 1, radius_edges_mm.size - 1)
    if primary.shape != shape or scatter.shape != shape:
        raise EngineError(f"a kernel of {shape[0]} polar bins and {shape[1]} shells cannot be {primary.shape}")
    exponents = FIRST_EXPONENT_PER_MM * TERM_RATIO ** np.arange(TERMS)
    through = np.exp(-np.outer(radius_edges_mm, exponents))
    parts = []
    for part in (primary, scatter):
        weights = np.stack([_fit(through[:-1] - through[1:], row) for row in part])
        if not weights.sum() > 0:
            raise EngineError("a point kernel without energy")
        parts.append(weights / weights.sum())
    return ExponentialKernel(FIRST_EXPONENT_PER_MM, polar_edges_deg, parts[0], parts[1])


def _fit(shells: Array, energy: Array) -> Array:
    if not energy.any():
        return np.zeros(shells.shape[1])
    importance = 1.0 / np.sqrt(np.maximum(energy, 1e-4 * energy.max()))
    return np.asarray(nnls(shells * importance[:, None], energy * importance)[0])


def _hats(energy: Array, nodes: Array) -> Array:
    """(nodes, energies): shares of each energy given to the two nodes around it, linear in the logarithm; what lies
    outside goes to the end node."""
    identity = np.eye(nodes.size)
    return np.stack([np.interp(np.log(energy), np.log(nodes), row) for row in identity])
