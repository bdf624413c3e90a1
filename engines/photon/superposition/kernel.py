"""Poly-energetic kernels of the collapsed cone: tabulated point kernels of a spectrum as sums of exponentials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.photon_data import Attenuation
from engines.photon.photon_data import Spectrum as TabulatedSpectrum
from engines.photon.point_kernels import PointKernels
from engines.photon.superposition.model import (
    PRIMARY_EXPONENT_PER_MM,
    SCATTER_EXPONENT_PER_MM,
    TERM_RATIO,
    TERMS,
    ExponentialKernel,
    Spectrum,
)

Array = NDArray[np.float64]

RIDGE = 1e-3


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
    """Fits energy fractions (polar bins, shells) by the exponentials of model.py, bin by bin: least squares of the
    energy within each radius, radii counting
    evenly on a logarithmic scale. What lies beyond the last shell follows from the
    fit; primary and scatter are then scaled to one.

    Raises EngineError for shapes that do not fit or a kernel without energy."""
    shape = (polar_edges_deg.size - 1, radius_edges_mm.size - 1)
    if primary.shape != shape or scatter.shape != shape:
        raise EngineError(f"a kernel of {shape[0]} polar bins and {shape[1]} shells cannot be {primary.shape}")
    parts = []
    for part, first in ((primary, PRIMARY_EXPONENT_PER_MM), (scatter, SCATTER_EXPONENT_PER_MM)):
        exponents = np.asarray(first * TERM_RATIO ** np.arange(TERMS), np.float64)
        weights = _fit(part, radius_edges_mm, exponents)
        if not weights.sum() > 0:
            raise EngineError("a point kernel without energy")
        parts.append(weights / weights.sum())
    return ExponentialKernel(PRIMARY_EXPONENT_PER_MM, SCATTER_EXPONENT_PER_MM, polar_edges_deg, parts[0], parts[1])


def _fit(part: Array, radius_edges_mm: Array, exponents: Array) -> Array:
    """Weights (bins, TERMS). A small ridge keeps bins of few histories from large weights of opposite sign."""
    outer = radius_edges_mm[1:]
    count = np.sqrt(np.diff(np.log(outer), prepend=np.log(outer[0] / 2)))[:, None]
    system = np.concatenate([(1 - np.exp(-np.outer(outer, exponents))) * count, RIDGE * np.eye(exponents.size)])
    within = np.cumsum(part, axis=1)
    wanted = np.concatenate([within.T * count, np.zeros((exponents.size, part.shape[0]))])
    return np.asarray(np.linalg.lstsq(system, wanted, rcond=None)[0].T)


def _hats(energy: Array, nodes: Array) -> Array:
    """(nodes, energies): shares of each energy given to the two nodes around it, linear in the logarithm; what lies
    outside goes to the end node."""
    identity = np.eye(nodes.size)
    return np.stack([np.interp(np.log(energy), np.log(nodes), row) for row in identity])
