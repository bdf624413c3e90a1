"""In-air profile and source width from what was measured across the beam.

The dose is linear in the profile's values at its knots, so they follow from one bounded linear least squares over the
points inside all fields, with a weak pull towards a smooth course. The source's width then follows from the penumbrae,
one parameter, bounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import lsq_linear, minimize_scalar

from appliance.commissioning.agreement import Region, half_width_mm
from appliance.commissioning.curves import Array, Curve, Kind, of_kind
from appliance.commissioning.physics import Beam, Correction, Superposed
from appliance.commissioning.points import beam_points_mm
from appliance.commissioning.predict import Setup, comparisons
from engines.photon.beamfit.water import Field

KNOTS_MM = np.array([0.0, 15, 30, 45, 60, 80, 100, 120, 140, 160, 180, 200, 220, 240, 260, 280])
"""Chosen: 15 mm where the flattening filter's tip shows, 20 mm further out."""
EDGE_MARGIN_MM = 12.0
"""Points nearer to the field's edge say more of the source than of the profile."""
SMOOTH = 0.002
"""Second differences of the knots weigh as much as this share of the dose at a point (chosen: 0.2 %)."""
FEWEST_POINTS = 8
TAILOR = (0.00181, 0.00202, -0.0000942)
"""mu(theta)/mu(0) - 1 per degree of off-axis angle, its square and cube: Tailor et al., Med Phys 25:662 (1998), fitted
to machines with a flattening filter (coefficients from memory, unconfirmed; the data scale them)."""
WIDE_MM = 120.0
SOFTENING, SOFTENING_STEPS = (0.0, 2.0), 8
WIDTH_MM = (0.5, 8.0)


@dataclass(frozen=True, eq=False)
class ProfileFit:
    """reach_mm: radius on the isocentre plane to which the profile was measured, 0 without enough points (the beam is
    then as it was). miss: root mean square of the residuals, as a share of the dose."""

    beam: Beam
    reach_mm: float
    miss: float


def fit_softening(
    beam: Beam, curves: Sequence[Curve], correction: Correction, tell: Callable[[float], None]
) -> ProfileFit:
    """Profile and off-axis softening together: the scale of TAILOR that fits wide profiles of several depths best. With
    wide profiles of fewer than two depths the beam keeps its softening."""
    if not wide_profiles(curves, beam.sad_mm):
        return fit_profile(beam, curves, correction)
    calls = 0

    def at(scale: float) -> ProfileFit:
        nonlocal calls
        calls += 1
        tell(min(1.0, calls / SOFTENING_STEPS))
        return fit_profile(replace(beam, softening_per_deg=scaled_softening(scale)), curves, correction)

    found = minimize_scalar(
        lambda s: at(float(s)).miss,
        bounds=SOFTENING,
        method="bounded",
        options={"xatol": 0.05, "maxiter": SOFTENING_STEPS - 1},
    )
    return at(float(found.x))


def wide_profiles(curves: Sequence[Curve], sad_mm: float) -> tuple[Curve, ...]:
    """Those that say how depth and distance from the axis go together; none where they are of fewer than two depths."""
    wide = tuple(c for c in of_kind(curves, Kind.PROFILE) if half_width_mm(c, sad_mm) > WIDE_MM)
    return wide if len({round(c.depth_mm) for c in wide}) > 1 else ()


def scaled_softening(scale: float) -> tuple[float, float, float]:
    return scale * TAILOR[0], scale * TAILOR[1], scale * TAILOR[2]


def fit_profile(beam: Beam, curves: Sequence[Curve], correction: Correction) -> ProfileFit:
    """The in-air profile for the beam's softening."""
    profiles = [c for c in of_kind(curves, Kind.PROFILE) if c.shaped_by == "jaws"]
    start = replace(beam, profile_radius_mm=KNOTS_MM, profile_relative=np.ones(KNOTS_MM.size))
    water, rows, wanted, reach = start.water(), [], [], 0.0
    for curve in profiles:
        half, stretch = half_width_mm(curve, beam.sad_mm), (curve.ssd_mm + curve.depth_mm) / beam.sad_mm
        inside = np.abs(curve.positions_mm) < half - EDGE_MARGIN_MM
        if np.count_nonzero(inside) < 3:
            continue
        field = Field((0.5 * curve.field_x_mm, 0.5 * curve.field_y_mm), curve.ssd_mm)
        points = np.vstack([np.zeros((1, 3)), beam_points_mm(curve)[inside]])
        knots, rest = water.profile_basis(field, curve.depth_mm, points[:, 0], points[:, 1])
        factor = correction.at(replace(curve, positions_mm=np.append(0.0, curve.positions_mm[inside])))
        knots, rest = knots * factor, rest * factor
        measured = curve.values[inside] / np.interp(0.0, curve.positions_mm, curve.values)
        # modelled(x) = measured(x) * modelled(0), both linear in the knots; the axis' own knot is held at one.
        scale = knots[:, 0].sum() + rest[0]
        rows.append((knots[:, 1:] - measured * knots[:, :1]).T / scale)
        wanted.append((measured * rest[0] - rest[1:]) / scale)
        reach = max(reach, float(np.abs(curve.positions_mm[inside]).max()) / stretch)
    if sum(len(row) for row in rows) < FEWEST_POINTS:
        return ProfileFit(beam, 0.0, 0.0)
    matrix, right = np.vstack(rows), np.concatenate(wanted)
    relative = _solved(matrix, right, reach)
    miss = float(np.sqrt(np.mean((matrix @ relative - right) ** 2)))
    return ProfileFit(replace(beam, profile_radius_mm=KNOTS_MM, profile_relative=relative), reach, miss)


def _solved(rows: Array, wanted: Array, reach_mm: float) -> Array:
    """Knots (n,), the first held at one; those beyond the measured radius repeat the last measured."""
    free = max(2, int(np.count_nonzero(reach_mm > KNOTS_MM)) + 1)
    free = min(free, KNOTS_MM.size)
    merged = rows[:, :free].copy()
    merged[:, -1] += rows[:, free:].sum(axis=1)
    slope = np.diff(np.eye(free), axis=0) / np.diff(KNOTS_MM[:free])[:, None] * 20.0
    bend = np.diff(slope, axis=0) * (SMOOTH * np.sqrt(len(rows)))
    matrix = np.vstack([merged, bend])
    right = np.concatenate([wanted, np.zeros(len(bend))]) - matrix[:, 0]
    found = lsq_linear(matrix[:, 1:], right, bounds=(0.02, 3.0))
    knots = np.concatenate([[1.0], found.x])
    return np.concatenate([knots, np.full(KNOTS_MM.size - free, knots[-1])])


def fit_source_width(beam: Beam, curves: Sequence[Curve], setup: Setup, correction: Correction) -> Beam:
    """The beam with the width that brings modelled penumbrae nearest to the measured ones (root mean square of the
    distances to agreement); as it is without a point in a penumbra."""
    profiles = [c for c in of_kind(curves, Kind.PROFILE) if c.shaped_by == "jaws"]

    def miss(width_mm: float) -> float:
        algorithm = Superposed(replace(beam, source_fwhm_mm=float(width_mm)), correction)
        edges = [
            made.deviation[[region is Region.PENUMBRA for region in made.regions]]
            for made in comparisons(profiles, algorithm, setup)
        ]
        distances = np.concatenate(edges) if edges else np.zeros(0)
        return float(np.sqrt(np.mean(np.clip(distances, -5, 5) ** 2))) if distances.size else np.nan

    if not np.isfinite(miss(beam.source_fwhm_mm)):
        return beam
    found = minimize_scalar(miss, bounds=WIDTH_MM, method="bounded", options={"xatol": 0.05, "maxiter": 10})
    return replace(beam, source_fwhm_mm=float(found.x))
