"""How long the intervals of a beam take: for each the slowest of dose, leaves and gantry, and a gantry that can only
change its speed so fast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.planning.machine import Machine

Array = NDArray[np.float64]
SECONDS_PER_MINUTE = 60.0


def interval_seconds(mu: Array, travel_mm: Array, turn_deg: Array, machine: Machine) -> Array:
    """(intervals,) seconds. mu: monitor units; travel_mm: furthest way of any leaf; turn_deg: of the gantry, without
    sign. A turning gantry starts and ends at rest, and the squares of its speeds over an interval and the next differ by
    no more than 2 a times the way between their middles (a: machine.gantry.acceleration_deg_s2)."""
    rate = machine.dose_rate.maximum_mu_min / SECONDS_PER_MINUTE
    seconds = np.maximum(mu / rate, travel_mm / machine.mlc.leaf_speed_mm_s)
    moving = turn_deg > 0
    if not moving.any():
        return np.asarray(seconds, np.float64)
    seconds = np.maximum(seconds, turn_deg / machine.gantry.speed_deg_s)
    acceleration = machine.gantry.acceleration_deg_s2
    square = np.where(moving, (turn_deg / np.maximum(seconds, 1e-9)) ** 2, 0.0)
    for order in (range(len(mu)), range(len(mu) - 1, -1, -1)):
        # From rest the middle of the first interval is reached with v^2 = 2 a (turn / 2).
        speed2, way = 0.0, 0.0
        for k in order:
            square[k] = min(square[k], speed2 + 2 * acceleration * (way + 0.5 * turn_deg[k]))
            speed2, way = square[k], 0.5 * turn_deg[k]
    slowed = np.where(moving, turn_deg / np.sqrt(np.maximum(square, 1e-12)), 0.0)
    return np.maximum(seconds, slowed)


def slowest_seconds(turn_deg: float, nominal_s: float, most_mu: float, machine: Machine) -> float:
    """What no interval with at most `most_mu` and leaves that need at most `nominal_s` takes longer than."""
    from_rest = float(np.sqrt(turn_deg / machine.gantry.acceleration_deg_s2)) if turn_deg else 0.0
    return max(
        nominal_s,
        most_mu / machine.dose_rate.maximum_mu_min * SECONDS_PER_MINUTE,
        turn_deg / machine.gantry.speed_deg_s,
        from_rest,
    )
