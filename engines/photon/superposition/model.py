"""What the collapsed cone must know of a beam: the `superposition` object of a beam model file, read and checked.

Everything is stated at the isocentre plane of the beam's own machine; how the numbers act is in docs/superposition.md.
A fit of measured data moves: spectrum, softening, profile, source, extra_focal and contamination. The kernel follows
from the spectrum and the shipped point kernels (kernel.py, `from_data`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TERMS = 3
"""Exponentials of the primary and of the scatter kernel. They are the same for every polar angle, so that the energy of
all beams that comes through a voxel along one cone is carried together."""
TERM_RATIO = 2.0
"""Each exponent is this times the one before: 1 - exp(-2x) follows from 1 - exp(-x) without another exponential."""
PRIMARY_EXPONENT_PER_MM = 0.25
SCATTER_EXPONENT_PER_MM = 0.005
"""Smallest exponents that kernels are fitted with (chosen: of those tried, docs/superposition.md, they miss the kernel
of 6 MV by least: 1.1 % of its primary and 0.2 % of its scattered energy within any radius)."""
SUM_TOLERANCE = 1e-3
"""How far kernel fractions may be from adding up to one (files carry about five digits)."""
NEGATIVE_TOLERANCE = 0.01
"""How far below zero a fitted kernel may dip, in shares of its largest value (chosen)."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photons on the beam's axis in air. energy_mev (n,), growing; fluence (n,): photons of each bin, any scale;
    attenuation_cm2_g (n,): mu/rho of water without coherent scattering; primary_share (n,): fraction of the released
    energy that the electrons of the first interaction impart (the rest travels on as photons)."""

    energy_mev: Array
    fluence: Array
    attenuation_cm2_g: Array
    primary_share: Array


@dataclass(frozen=True, eq=False)
class ExponentialKernel:
    """Poly-energetic point kernel of water of density one as a sum of exponentials: in polar bin j (edges
    polar_edges_deg (bins + 1,), 0 forward to 180) the energy imparted between r and r + dr is

        sum_k w[j, k] lambda_k exp(-lambda_k r) dr        lambda_k = (its first exponent) * TERM_RATIO^k.

    primary and scatter (bins, TERMS) are the weights w as fractions of the primary and of the scattered energy; each
    adds up to one. Single weights may be negative (electrons have a range, scatter builds up), their sum may not."""

    primary_exponent_per_mm: float
    scatter_exponent_per_mm: float
    polar_edges_deg: Array
    primary: Array
    scatter: Array


@dataclass(frozen=True)
class ExtraFocal:
    """Head scatter as a second, wide source: a Gaussian of sigma_mm in its own plane at distance_mm from the target,
    seen through an aperture at collimator_mm from the target. weight: its share of the fluence on the axis of a field
    so wide that all of it is seen."""

    weight: float
    sigma_mm: float
    distance_mm: float
    collimator_mm: float


@dataclass(frozen=True)
class Contamination:
    """Electrons from the head and the air: dose weight * exp(-attenuation_per_mm * depth), in shares of the largest
    primary dose on the axis (collision kerma at depth 0), under a fluence that is the aperture blurred by a Gaussian of
    sigma_mm (isocentre plane) and has 1 in an endless field."""

    weight: float
    attenuation_per_mm: float
    sigma_mm: float


@dataclass(frozen=True, eq=False)
class SuperpositionModel:
    """softening_per_deg (c1, c2, c3): off-axis rays at theta degrees are attenuated by 1 + c1 theta + c2 theta^2 +
    c3 theta^3 times as much as the axis (Tailor et al., Med Phys 25:662, 1998); all zero for no softening.
    profile: in-air primary water kerma relative to the axis at radius_mm on the isocentre plane (horns, or the cone of
    a flattening-filter-free beam). source_fwhm_mm: width of the primary source, as its blur on the isocentre plane.
    contamination None: no electrons; extra_focal None: a point-like head (Monte Carlo without one)."""

    spectrum: Spectrum
    kernel: ExponentialKernel
    softening_per_deg: tuple[float, float, float]
    profile_radius_mm: Array
    profile_relative: Array
    source_fwhm_mm: float
    extra_focal: ExtraFocal | None
    contamination: Contamination | None


def from_json(raw: dict[str, Any]) -> SuperpositionModel:
    """The `superposition` object of a beam model file. Raises KeyError, TypeError or ValueError for a malformed one;
    whether its numbers are possible is `checks`."""
    c1, c2, c3 = (float(c) for c in raw["softening_per_deg"])
    extra, electrons = raw.get("extra_focal"), raw.get("contamination")
    return SuperpositionModel(
        spectrum=Spectrum(**{name: np.asarray(values, np.float64) for name, values in raw["spectrum"].items()}),
        kernel=ExponentialKernel(
            float(raw["kernel"]["primary_exponent_per_mm"]),
            float(raw["kernel"]["scatter_exponent_per_mm"]),
            *(np.asarray(raw["kernel"][name], np.float64) for name in ("polar_edges_deg", "primary", "scatter")),
        ),
        softening_per_deg=(c1, c2, c3),
        profile_radius_mm=np.asarray(raw["profile"]["radius_mm"], np.float64),
        profile_relative=np.asarray(raw["profile"]["relative"], np.float64),
        source_fwhm_mm=float(raw["source_fwhm_mm"]),
        extra_focal=ExtraFocal(**{k: float(v) for k, v in extra.items()}) if extra else None,
        contamination=Contamination(**{k: float(v) for k, v in electrons.items()}) if electrons else None,
    )


def to_json(model: SuperpositionModel) -> dict[str, Any]:
    """What `from_json` reads, numbers to 7 significant digits."""
    return {
        "spectrum": {name: _digits(values) for name, values in vars(model.spectrum).items()},
        "kernel": {
            "primary_exponent_per_mm": model.kernel.primary_exponent_per_mm,
            "scatter_exponent_per_mm": model.kernel.scatter_exponent_per_mm,
            "polar_edges_deg": _digits(model.kernel.polar_edges_deg),
            "primary": [_digits(row) for row in model.kernel.primary],
            "scatter": [_digits(row) for row in model.kernel.scatter],
        },
        "softening_per_deg": list(model.softening_per_deg),
        "profile": {"radius_mm": _digits(model.profile_radius_mm), "relative": _digits(model.profile_relative)},
        "source_fwhm_mm": model.source_fwhm_mm,
        "extra_focal": asdict(model.extra_focal) if model.extra_focal else None,
        "contamination": asdict(model.contamination) if model.contamination else None,
    }


def checks(model: SuperpositionModel, sad_mm: float) -> Iterator[tuple[bool, str]]:
    """(holds, sentence if not) for everything that must hold of a photon beam, written so that a NaN fails. Later ones
    may assume the earlier ones."""
    yield from _spectrum_checks(model.spectrum)
    yield from _kernel_checks(model.kernel)
    softening = 1 + np.polyval([*model.softening_per_deg[::-1], 0.0], np.linspace(0, 20, 81))
    yield bool(np.all((softening > 0.5) & (softening < 2))), "off-axis softening must stay within 0.5..2 to 20 degrees"
    radius, relative = model.profile_radius_mm, model.profile_relative
    yield radius.shape == relative.shape and _grows(radius), "superposition profile needs growing radii, one value each"
    yield bool(np.all((relative >= 0) & (relative < 10))), "superposition profile must lie in 0..10"
    yield 0 <= model.source_fwhm_mm < 30, "source width must lie in 0..30 mm"
    head, electrons = model.extra_focal, model.contamination
    if head:
        yield 0 <= head.weight < 0.5, "extra-focal weight must lie in 0..0.5"
        yield 0 < head.sigma_mm < 200, "extra-focal sigma must lie in 0..200 mm"
        ordered = 0 < head.distance_mm < head.collimator_mm < sad_mm
        yield ordered, "extra-focal source, collimator and isocentre must follow each other from the target"
    if electrons:
        yield 0 <= electrons.weight < 2, "electron contamination must lie in 0..2 of the primary dose"
        yield 0.005 < electrons.attenuation_per_mm < 2, "contamination must be attenuated by 0.005..2 per mm"
        yield 0 < electrons.sigma_mm < 300, "contamination sigma must lie in 0..300 mm"


def _spectrum_checks(s: Spectrum) -> Iterator[tuple[bool, str]]:
    columns = (s.fluence, s.attenuation_cm2_g, s.primary_share)
    yield (
        all(c.shape == s.energy_mev.shape for c in columns) and _grows(s.energy_mev),
        "spectrum needs growing energies and one value of each column for each",
    )
    yield s.energy_mev[0] > 0 and s.energy_mev[-1] < 50, "spectrum energies must lie in 0..50 MeV"
    yield bool(np.all(s.fluence >= 0)) and 0 < s.fluence.sum() < np.inf, "spectrum must hold photons, none negative"
    yield bool(np.all((s.attenuation_cm2_g > 0) & (s.attenuation_cm2_g < 100))), "attenuation must lie in 0..100 cm2/g"
    yield bool(np.all((s.primary_share >= 0) & (s.primary_share <= 1))), "primary share must lie in 0..1"


def _kernel_checks(k: ExponentialKernel) -> Iterator[tuple[bool, str]]:
    edges = k.polar_edges_deg
    yield 0.01 < k.primary_exponent_per_mm < 10, "first primary exponent must lie in 0.01..10 per mm"
    yield 0.0005 < k.scatter_exponent_per_mm < 0.1, "first scatter exponent must lie in 0.0005..0.1 per mm"
    yield _grows(edges) and edges[0] == 0 and edges[-1] == 180, "kernel polar edges must grow from 0 to 180 degrees"
    exponents = (k.primary_exponent_per_mm, k.scatter_exponent_per_mm)
    for name, part, first in zip(("primary", "scatter"), (k.primary, k.scatter), exponents, strict=True):
        yield part.shape == (edges.size - 1, TERMS), f"{name} kernel must be polar bins x {TERMS}"
        yield bool(abs(part.sum() - 1) < SUM_TOLERANCE), f"{name} kernel must add up to one"
        lam = first * TERM_RATIO ** np.arange(TERMS)
        density = (part * lam) @ np.exp(-np.outer(lam, np.linspace(0, 6, 61) / first))
        yield bool(density.min() > -NEGATIVE_TOLERANCE * density.max()), f"{name} kernel must not be negative"


def _grows(values: Array) -> bool:
    return values.ndim == 1 and values.size > 1 and bool(np.all(np.diff(values) > 0))


def _digits(values: Array) -> list[float]:
    return [float(f"{x:.7g}") for x in values]
