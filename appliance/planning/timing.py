"""The time that the optimiser may count on while leaves move; the plan's own seconds come from engines/delivery."""

from __future__ import annotations

import numpy as np

from appliance.planning.machine import Machine

SECONDS_PER_MINUTE = 60.0


def slowest_seconds(turn_deg: float, nominal_s: float, most_mu: float, machine: Machine) -> float:
    """What no interval with at most `most_mu` and leaves that need at most `nominal_s` takes longer than, the time in
    which any of these leaves turns round included (engines/delivery/leaf_acceleration.py)."""
    mlc = machine.mlc
    way_mm = mlc.leaf_speed_mm_s * nominal_s
    turning_s = float(np.sqrt(2 * way_mm / mlc.leaf_acceleration_mm_s2)) if mlc.leaf_acceleration_mm_s2 else 0.0
    from_rest = float(np.sqrt(turn_deg / machine.gantry.acceleration_deg_s2)) if turn_deg else 0.0
    return max(
        nominal_s,
        turning_s,
        most_mu / machine.dose_rate.maximum_mu_min * SECONDS_PER_MINUTE,
        turn_deg / machine.gantry.speed_deg_s,
        from_rest,
    )
