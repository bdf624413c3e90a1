"""A small problem that a backend must solve as the CPU does, before it is trusted with a plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.photon.backend.cpu import CpuBackend
from engines.photon.backend.protocol import Backend, Exposure
from engines.photon.beam_model import BeamModel, Collimation, LateralKernels
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.raster import Raster
from engines.photon.superposition.incidence import Exposure as StillExposure
from engines.photon.superposition.model import (
    PRIMARY_EXPONENT_PER_MM,
    SCATTER_EXPONENT_PER_MM,
    Contamination,
    ExponentialKernel,
    ExtraFocal,
    Spectrum,
    SuperpositionModel,
)

TOLERANCE = 1e-4
"""Share of the maximum by which backends may differ: float32 in another order of summation leaves 1e-6."""
RASTER = Raster(u0_mm=-58.75, v0_mm=-48.75, pitch_mm=2.5, nu=48, nv=40)


def disagreement(backend: Backend) -> float:
    """Largest difference between a backend and the CPU, in shares of the maximum: of dose and gradient of two oblique
    beams through a box with a cavity, of a final dose, and of a collapsed-cone dose. NaN where the backend computes no
    number."""
    model, medium = _model(), _medium()
    frames = (
        beam_frame((2.0, -1.0, 3.0), 35.0),
        beam_frame((2.0, -1.0, 3.0), 250.0, collimator_deg=10.0, couch_deg=15.0),
    )
    rng = np.random.default_rng(1)
    points = rng.uniform(-45, 45, (500, 3)).astype(np.float32)
    fluence = rng.uniform(0, 2, (2, RASTER.nv, RASTER.nu)).astype(np.float32)
    slope = rng.uniform(-1, 1, 500).astype(np.float32)
    answers = []
    for one in (CpuBackend(), backend):
        operator = one.dose_operator(model, RASTER, Exposure.of(medium, frames, points))
        total = one.dose_sum(model, medium, medium.density > 0)
        total.add(frames[0], _square, field_extent_mm=(-20.0, 20.0, -20.0, 20.0), pitch_mm=2.5)
        cones = one.superposition(_superposition(), medium)
        still = [StillExposure(frame, _square, (-20.0, 20.0, -20.0, 20.0)) for frame in frames]
        answers.append((operator.forward(fluence), operator.adjoint(slope), total.take(), cones.calculate(still)))
    shares = [np.abs(got - known).max() / np.abs(known).max() for known, got in zip(*answers, strict=True)]
    return float(np.max(shares))


def _square(raster: Raster) -> NDArray[np.float32]:
    inside = (np.abs(raster.v_mm)[:, None] < 20) & (np.abs(raster.u_mm)[None] < 20)
    return inside.astype(np.float32)


def _medium() -> Medium:
    grid = Grid((-42.0, -45.0, -39.0), (3.0, 3.0, 3.0), (27, 31, 29))
    density = np.ones(grid.shape, np.float32)
    density[:, 10:18, 8:20] = 0.3
    return Medium(grid, density)


def _model() -> BeamModel:
    """Figures of no machine: kernels that fall off exponentially (chosen: smooth, short, not degenerate)."""
    radius = np.arange(0.0, 30.5, 0.5)
    values = np.stack([np.exp(-radius / reach) / reach**2 for reach in (1.5, 4.0, 9.0)])
    return BeamModel(
        name="self-test", energy_mv=6.0, fluence_mode="STANDARD", sad_mm=1000.0, attenuation_per_mm=0.005,
        betas_per_mm=(0.31, 0.02, 0.008), penumbra_fwhm_mm=5.0, kernels=(LateralKernels(900.0, radius, values),),
        profile_radius_mm=np.array([0.0, 200.0]), profile_relative=np.array([1.0, 1.05]), reference=None,
        collimation=Collimation(0.01, 0.01, 0.1), provenance={}, softening=(5.0, -40.0),
        extra_focal=ExtraFocal(0.08, 25.0, 125.0, 450.0),
    )  # fmt: skip


def _superposition() -> SuperpositionModel:
    """Figures of no machine either: every part of the model does something (chosen)."""
    flat = np.ones((3, 3))
    return SuperpositionModel(
        spectrum=Spectrum(np.array([1.0, 3.0]), np.array([1.0, 0.5]), np.array([0.07, 0.04]), np.array([0.4, 0.6])),
        kernel=ExponentialKernel(
            PRIMARY_EXPONENT_PER_MM, SCATTER_EXPONENT_PER_MM, np.array([0.0, 30.0, 90.0, 180.0]),
            flat * [[0.2], [0.1], [0.1 / 3]], flat * [[0.1], [0.15], [0.25 / 3]],
        ),
        softening_per_deg=(0.002, 0.001, 0.0), profile_radius_mm=np.array([0.0, 200.0]),
        profile_relative=np.array([1.0, 1.05]), source_fwhm_mm=3.0,
        extra_focal=ExtraFocal(0.06, 20.0, 125.0, 450.0), contamination=Contamination(0.1, 0.07, 50.0),
    )  # fmt: skip
