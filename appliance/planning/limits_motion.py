"""Limits of what happens between control points: gantry travel, monitor units per degree, dose rate in the time that
the axes need.

A plan states no times. The machine chooses them: it slows down until every axis keeps its limit. A limit is broken
where no time is right: where the slowest axis needs longer than the dose may take at the lowest dose rate.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from appliance.contracts import Beam
from appliance.planning.delivery import SECONDS_A_MINUTE, time_of, trajectory
from appliance.planning.machine import Machine

TURN_TOLERANCE_DEG = 0.05
"""Smaller turns between control points are the writer's rounding (as in pieces)."""
TIME_TOLERANCE = 1e-6
"""Relative, of times that are compared."""
HALF_TURN_DEG = 180.0
ROUNDING_DEG = 1e-6


def motion_violations(beam: Beam, machine: Machine) -> Iterator[tuple[int, str]]:
    """(control point, sentence): the control point at which the interval ends."""
    path = trajectory(beam)
    turn, mu = np.diff(path.gantry_deg), np.diff(path.cumulative_mu)
    yield from _gantry_range(path.gantry_deg, machine)
    yield from _fixed_axes(beam, machine)
    time = time_of(beam, machine)
    rate = machine.dose_rate
    for k in range(turn.size):
        if abs(abs(turn[k]) - HALF_TURN_DEG) < ROUNDING_DEG:
            yield k + 1, "the gantry turns by half a turn in one step, which could be either way round"
        if mu[k] <= 0:
            continue
        if abs(turn[k]) > TURN_TOLERANCE_DEG:
            per_deg, half_step = mu[k] / abs(turn[k]), rate.meterset_resolution_mu / abs(turn[k])
            low, high = rate.mu_per_deg
            if not low - half_step <= per_deg <= high + half_step:
                yield k + 1, f"{per_deg:.3g} MU per degree are outside {low:g}..{high:g} MU per degree"
        # the gantry's run-up before the first and after the last control point is the dose servo's business
        seconds = float(time.running_s[k])
        slowest = mu[k] / seconds * SECONDS_A_MINUTE if seconds > 0 else np.inf
        if slowest < rate.minimum_mu_min * (1 - TIME_TOLERANCE):
            yield k + 1, _too_slow(time.slowest[k], seconds, float(mu[k]), rate.minimum_mu_min)


def _too_slow(axis: str, seconds: float, mu: float, minimum_mu_min: float) -> str:
    who = {"dose": "the dose rate that the beam states"}.get(axis, f"the {axis}")
    need = "need" if axis in ("leaves", "jaws") else "needs"
    needed = "cannot move" if not np.isfinite(seconds) else f"{need} {seconds:.2f} s"
    return (
        f"{who} {needed}, but at the lowest dose rate of {minimum_mu_min:g} MU/min {mu:.3f} MU take only "
        f"{mu / minimum_mu_min * SECONDS_A_MINUTE:.2f} s"
    )


def _gantry_range(
    gantry_deg: np.ndarray[tuple[int], np.dtype[np.float64]], machine: Machine
) -> Iterator[tuple[int, str]]:
    """An arc must lie inside the mechanical range as a whole, not each of its angles by itself."""
    low, high = machine.gantry.range_deg
    furthest = 0
    for shift in range(-2, 3):
        path = gantry_deg + 360.0 * shift
        beyond = np.flatnonzero((path < low - ROUNDING_DEG) | (path > high + ROUNDING_DEG))
        if not beyond.size:
            return
        furthest = max(furthest, int(beyond[0]))
    yield furthest, f"the gantry passes beyond its mechanical range of {low:g}..{high:g} degrees"


def _fixed_axes(beam: Beam, machine: Machine) -> Iterator[tuple[int, str]]:
    """An axis that does not turn must not be asked to, also with the beam off."""
    path = trajectory(beam)
    for name, angles, axis in (
        ("collimator", path.collimator_deg, machine.collimator),
        ("couch", path.couch_deg, machine.couch),
    ):
        turned = np.flatnonzero(np.abs(np.diff(angles)) > TURN_TOLERANCE_DEG)
        if turned.size and not axis.turns:
            yield int(turned[0]) + 1, f"the {name} turns, which that of {machine.name} does not do"
