"""What a beam asks of the machine on its way: monitor units and leaf travel for each degree and control arc, and how
leaf speed, dose rate and gantry speed vary from one control arc to the next.

A control arc is the interval between two control points in which the beam is on; its duration is the machine's choice
(`timing`). Means and spreads count each control arc by its seconds, so that mean dose rate times seconds is the monitor
units. Dynamic parameters told apart from aperture shapes, because planning systems differ in which of the two they
modulate: Hernandez et al., Phys Imaging Radiat Oncol 2020 (PMC7807588).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]
SECONDS_A_MINUTE = 60.0


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over control arcs, each counted by its seconds."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Sweep:
    """control_arcs: intervals with dose. arc_deg: way of the gantry in them, either way round. mu_per_control_arc: MU
    over control_arcs. mu_per_deg: monitor units given while the gantry turns, over arc_deg. leaf_travel_mm_per_deg:
    mean travel, in control arcs, of the leaves that move in any of them, over arc_deg (leaf travel over arc length).
    Both are None for a gantry that stands. leaf_speed_mm_s: mean over those leaves of |step| / seconds;
    dose_rate_mu_min, gantry_speed_deg_s likewise; None where the seconds are not known, leaf speed also where no leaf
    moves."""

    control_arcs: int
    arc_deg: float
    mu_per_control_arc: float
    mu_per_deg: float | None
    leaf_travel_mm_per_deg: float | None
    leaf_speed_mm_s: Spread | None
    dose_rate_mu_min: Spread | None
    gantry_speed_deg_s: Spread | None


def sweep(cumulative_mu: Vector, gantry_deg: Vector, leaves_mm: Vector, seconds: Vector | None = None) -> Sweep:
    """Of one beam with n control points: cumulative_mu (n,); gantry_deg (n,) followed without a jump at 360; leaves_mm
    (n, leaves) tips of all banks and layers; seconds (n - 1,) of each interval, None if not known. Raises EngineError
    for a beam without monitor units or arrays that do not fit."""
    mu = np.diff(cumulative_mu)
    if not (len(gantry_deg) == len(leaves_mm) == len(cumulative_mu)) or (
        seconds is not None and len(seconds) != len(mu)
    ):
        raise EngineError("monitor units, angles, leaves and seconds are not of one number of control points")
    on = mu > 0
    if not on.any():
        raise EngineError("a beam without monitor units has no control arc")
    mu, turn = mu[on], np.abs(np.diff(gantry_deg))[on]
    steps = np.abs(np.diff(leaves_mm, axis=0))[on]
    steps = steps[:, steps.any(axis=0)]
    arc_deg = float(turn.sum())
    travel_mm = float(steps.sum(axis=0).mean()) if steps.size else 0.0
    time = None if seconds is None else seconds[on]
    known = time is not None and bool(np.isfinite(time).all() and np.all(time > 0))
    return Sweep(
        control_arcs=int(on.sum()),
        arc_deg=arc_deg,
        mu_per_control_arc=float(mu.sum() / on.sum()),
        mu_per_deg=float(mu[turn > 0].sum() / arc_deg) if arc_deg > 0 else None,
        leaf_travel_mm_per_deg=travel_mm / arc_deg if arc_deg > 0 else None,
        leaf_speed_mm_s=_spread(steps.mean(axis=1), time) if known and steps.size else None,
        dose_rate_mu_min=_spread(mu * SECONDS_A_MINUTE, time) if known else None,
        gantry_speed_deg_s=_spread(turn, time) if known else None,
    )


def _spread(amount: Vector, seconds: Vector | None) -> Spread:
    """Of the rates amount / seconds (n,)."""
    if seconds is None:
        raise EngineError("a rate needs seconds")
    mean = float(amount.sum() / seconds.sum())
    variance = float((seconds * (amount / seconds - mean) ** 2).sum() / seconds.sum())
    return Spread(mean, float(np.sqrt(variance)))
