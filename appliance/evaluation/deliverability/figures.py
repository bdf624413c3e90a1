"""Complexity figures of beams and of a plan, from the engines of apertures and of the way between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from appliance.contracts import Beam
from appliance.contracts.collimation import followed_deg, positions_of, shapes_of
from appliance.contracts.deliverability import ComplexityFigures
from engines.delivery import SMALL_MM, Spread, Sweep, complexity, sweep
from engines.errors import EngineError

SUMS = ("mu", "mu_per_gy", "control_arcs", "arc_deg")
"""Figures of a plan that are sums over its beams; all others are means by monitor units, as in the papers."""


def beam_figures(beam: Beam, seconds: Sequence[float], gy_per_fraction: float) -> ComplexityFigures:
    """Of one beam; seconds of its intervals, empty if not known; gy_per_fraction: the prescription, 0 if not known.
    Figures of apertures are None where none is open. Raises EngineError for a beam without monitor units."""
    points = beam.control_points
    way = sweep(
        np.array([point.cumulative_mu for point in points]),
        followed_deg(np.array([point.gantry_deg for point in points])),
        np.stack([np.concatenate(positions_of(beam, point)[1:]) for point in points]),
        np.array(seconds) if len(seconds) else None,
    )
    return ComplexityFigures(
        mu=beam.mu,
        control_arcs=way.control_arcs,
        arc_deg=way.arc_deg,
        mu_per_gy=beam.mu / gy_per_fraction if gy_per_fraction > 0 else None,
        **_shape_figures(beam),
        **_way_figures(way),
    )


def plan_figures(beams: Sequence[ComplexityFigures]) -> ComplexityFigures:
    """Of all beams together, each figure over the beams that have it. Raises EngineError for no beam."""
    if not beams:
        raise EngineError("a plan without a beam has no figures")
    together: dict[str, float | None] = {}
    for name in (field.name for field in fields(ComplexityFigures)):
        known = [(value, beam.mu) for beam in beams if (value := getattr(beam, name)) is not None]
        if not known:
            together[name] = None
        elif name in SUMS:
            together[name] = sum(value for value, _ in known)
        else:
            together[name] = float(sum(value * mu for value, mu in known) / sum(mu for _, mu in known))
    arcs = int(together.pop("control_arcs") or 0)
    mu, arc_deg = together.pop("mu") or 0.0, together.pop("arc_deg") or 0.0
    together["mu_per_control_arc"] = mu / arcs
    return ComplexityFigures(mu=mu, control_arcs=arcs, arc_deg=arc_deg, **together)


def _shape_figures(beam: Beam) -> dict[str, float]:
    try:
        made = complexity(shapes_of(beam))
    except EngineError:
        return {}
    small = {f"small_{width:g}mm": share for width, share in zip(SMALL_MM, made.small_share, strict=True)}
    return {
        "mcs": made.mcs,
        "ltmcs": made.ltmcs,
        "leaf_travel_mm": made.leaf_travel_mm,
        "edge_per_mm": made.edge_per_mm,
        "irregularity": made.irregularity,
        "mean_area_mm2": made.area_mm2,
        "modulation": made.modulation,
        "mean_gap_mm": made.gap_mm,
        **small,
    }


def _way_figures(way: Sweep) -> dict[str, float | None]:
    leaf, rate, gantry = _pair(way.leaf_speed_mm_s), _pair(way.dose_rate_mu_min), _pair(way.gantry_speed_deg_s)
    turns = way.arc_deg > 0
    return {
        "mu_per_control_arc": way.mu_per_control_arc,
        "mu_per_deg": way.mu_per_deg,
        "leaf_travel_mm_per_deg": way.leaf_travel_mm_per_deg,
        "leaf_speed_mm_s": leaf[0],
        "leaf_speed_spread_mm_s": leaf[1],
        "dose_rate_mu_min": rate[0],
        "dose_rate_spread_mu_min": rate[1],
        "gantry_speed_deg_s": gantry[0] if turns else None,
        "gantry_speed_spread_deg_s": gantry[1] if turns else None,
    }


def _pair(spread: Spread | None) -> tuple[float | None, float | None]:
    return (None, None) if spread is None else (spread.mean, spread.deviation)
