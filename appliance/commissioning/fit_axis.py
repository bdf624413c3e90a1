"""Spectrum, head scatter and contaminant electrons from what was measured on the axis: bounded nonlinear least squares.

Residuals, each in units of what it may be off by: from the depth of the maximum on 0.5 % of the local dose, in the
build-up 3 %, output and collimator factors 0.3 % (chosen: about what each repeats to in a good tank; the surface is
worse). Depths that do not cover the detector are left out. The spectrum's two parameters are drawn to zero, the
published spectrum: weakly the tilt, which depth doses determine, strongly the hardening, which they hardly tell from
the tilt. Parameters that the data say nothing of (electrons without build-up data, how far electrons
spread without a small detector's, head scatter without factors) stay where they start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, fields, replace

import numpy as np
from scipy.optimize import least_squares

from appliance.commissioning.agreement import Region
from appliance.commissioning.curves import Array, Curve, Kind, of_kind
from appliance.commissioning.physics import AxisParameters, Beam, Correction, Superposed
from appliance.commissioning.predict import Setup, comparisons

ON_AXIS = (Kind.DEPTH_DOSE, Kind.TISSUE_PHANTOM_RATIO, Kind.OUTPUT_FACTOR, Kind.COLLIMATOR_FACTOR)
DEEP, BUILD_UP, FACTOR = 0.5, 3.0, 0.3
LOWER = AxisParameters(-2.0, -2.0, 0.0, 5.0, 0.0, 0.03, 10.0)
UPPER = AxisParameters(2.0, 2.0, 0.25, 60.0, 0.8, 0.3, 200.0)
SCALE = AxisParameters(0.3, 0.3, 0.05, 15.0, 0.1, 0.05, 40.0)
TILT_PRIOR, HARDENING_PRIOR = 0.2, 3.0
"""Residual of one SCALE away from the published spectrum. At 0.2 for both, hardening runs to its bound and the tilt
after it, for 0.3 to 0.8 of a cost of 110 and 44 (shipped beams)."""
ELECTRONS_PER_MM, ELECTRON_PRIOR = 0.2, 1.0
"""Contaminant electrons are drawn to this attenuation by a residual a SCALE (chosen: the flattened shipped beam ends
there by itself): a beam with few of them has else any."""
STEP = (1e-3,)
SHALLOW_MM = 12.0
SHALLOW_POINTS, SPREAD_POINTS, SPREAD_FIELDS = 2, 3, 3
"""Contaminant electrons are seen above that depth: by so many points of a curve that cover the detector, and how they
spread by so many points in so many fields. Two points of a 6 mm chamber would make them as narrow as lateral
equilibrium is: what is wrong there is not the electrons."""
TOLERANCE = 1e-4
EVALUATIONS = 60
"""A fit that has not settled after as many Jacobians is at a bound or has nothing to fit (chosen)."""


def fit_axis(
    beam: Beam, curves: Sequence[Curve], setup: Setup, correction: Correction, tell: Callable[[float], None]
) -> Beam:
    """The beam with new axis parameters. correction as of Superposed."""
    used = of_kind(curves, *ON_AXIS)
    names = _determined(used, setup)
    start = asdict(beam.axis)

    def beam_at(x: Array) -> Beam:
        return beam.with_axis(replace(beam.axis, **dict(zip(names, map(float, x), strict=True))))

    calls = 0

    def residuals(x: Array) -> Array:
        nonlocal calls
        calls += 1
        tell(min(0.99, calls / (EVALUATIONS * (len(names) + 1) / 3)))
        return _residuals(beam_at(x), used, setup, correction)

    low, high, scale = ([asdict(which)[name] for name in names] for which in (LOWER, UPPER, SCALE))
    first = np.clip([start[name] for name in names], np.array(low) + 1e-6, np.array(high) - 1e-6)
    found = least_squares(
        residuals,
        first,
        bounds=(low, high),
        x_scale=scale,
        diff_step=STEP * len(names),
        max_nfev=EVALUATIONS,
        loss="soft_l1",
        ftol=TOLERANCE,
        xtol=TOLERANCE,
    )
    tell(1.0)
    return beam_at(found.x)


def at_bound(axis: AxisParameters) -> tuple[str, ...]:
    """Names of parameters that ended at a bound: the data want more than the model can give, or say nothing."""
    names = [field.name for field in fields(AxisParameters)]
    rows = zip(names, astuple(axis), astuple(LOWER), astuple(UPPER), strict=True)
    return tuple(n for n, v, low, high in rows if min(v - low, high - v) < 1e-3 * (high - low))


def _determined(curves: Sequence[Curve], setup: Setup) -> list[str]:
    names = ["tilt", "hardening"]
    if len(of_kind(curves, Kind.OUTPUT_FACTOR, Kind.COLLIMATOR_FACTOR)) >= 3:
        names += ["head_weight", "head_sigma_mm"]
    points = np.array(
        [np.count_nonzero(_covered(c, setup) & (c.positions_mm < SHALLOW_MM)) for c in of_kind(curves, Kind.DEPTH_DOSE)]
    )
    if np.any(points >= SHALLOW_POINTS):
        names += ["electron_weight", "electron_attenuation_per_mm"]
    if np.count_nonzero(points >= SPREAD_POINTS) >= SPREAD_FIELDS:
        names.append("electron_sigma_mm")
    return names


def _covered(curve: Curve, setup: Setup) -> np.ndarray:
    """Which points (n,) lie deep enough that water covers the detector."""
    return np.asarray(curve.positions_mm >= 0.5 * setup.detector_mm)


def _residuals(beam: Beam, curves: Sequence[Curve], setup: Setup, correction: Correction) -> Array:
    axis = beam.axis
    electrons = (axis.electron_attenuation_per_mm - ELECTRONS_PER_MM) / SCALE.electron_attenuation_per_mm
    priors = (TILT_PRIOR * axis.tilt / SCALE.tilt, HARDENING_PRIOR * axis.hardening / SCALE.hardening)
    parts = [np.array([*priors, ELECTRON_PRIOR * electrons])]
    for made in comparisons(curves, Superposed(beam, correction), setup):
        deep = DEEP if len(made.measured) > 1 else FACTOR
        allowed = np.where([region is Region.BUILD_UP for region in made.regions], BUILD_UP, deep)
        covered = _covered(made.curve, setup) | (len(made.measured) == 1)
        parts.append((made.deviation / allowed)[covered])
    return np.concatenate(parts)
