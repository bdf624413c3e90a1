"""Beams as the engines of time and complexity see them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, Plan
from appliance.contracts.collimation import followed_deg, positions_of, shapes_of
from appliance.planning.machine import Machine
from engines.delivery import (
    AxisLimit,
    BeamTime,
    Complexity,
    MotionLimits,
    Trajectory,
    beam_time,
    combined,
    complexity,
    rest_to_rest_s,
)
from engines.errors import EngineError

Vector = NDArray[np.float64]
HALF_TURN_DEG = 180.0
SECONDS_A_MINUTE = 60.0


def most_mu_s(beam: Beam, machine: Machine) -> float:
    """Fastest dose rate of a beam, MU/s: the one it states, if the machine reaches it."""
    stated = beam.dose_rate_mu_min or machine.dose_rate.maximum_mu_min
    return min(stated, machine.dose_rate.maximum_mu_min) / SECONDS_A_MINUTE


def trajectory(beam: Beam) -> Trajectory:
    """The path of a beam. Leaf arrays of all control points must have one length (limits checks that first)."""
    points = beam.control_points
    positions = [positions_of(beam, point) for point in points]
    return Trajectory(
        cumulative_mu=np.array([point.cumulative_mu for point in points]),
        gantry_deg=followed_deg(np.array([point.gantry_deg for point in points])),
        collimator_deg=followed_deg(np.array([point.collimator_deg for point in points])),
        couch_deg=followed_deg(np.array([point.couch_deg for point in points])),
        leaves_mm=np.stack([np.concatenate(one[1:]) for one in positions]),
        jaws_mm=np.stack([one[0] for one in positions]),
    )


def motion_limits(beam: Beam, machine: Machine) -> MotionLimits:
    mlc, jaws = machine.mlc, machine.jaws
    return MotionLimits(
        gantry=AxisLimit(machine.gantry.speed_deg_s, machine.gantry.acceleration_deg_s2),
        leaves=AxisLimit(mlc.leaf_speed_mm_s, mlc.leaf_acceleration_mm_s2),
        jaws=AxisLimit(jaws.speed_mm_s or mlc.leaf_speed_mm_s),
        collimator=AxisLimit(machine.collimator.speed_deg_s),
        couch=AxisLimit(machine.couch.speed_deg_s),
        most_mu_s=most_mu_s(beam, machine),
    )


def time_of(beam: Beam, machine: Machine) -> BeamTime:
    """Seconds of a beam. Raises EngineError for fewer than two control points."""
    return beam_time(trajectory(beam), motion_limits(beam, machine))


def travel_s(plan: Plan, machine: Machine) -> float:
    """Seconds between beams: the slowest axis from the end of one to the start of the next, each from rest to rest. No
    time for the console's own overhead, of which nothing is known."""
    total = 0.0
    for before, after in pairwise(plan.beams):
        end, start = before.control_points[-1], after.control_points[0]
        gantry = AxisLimit(machine.gantry.speed_deg_s, machine.gantry.acceleration_deg_s2)
        total += max(
            rest_to_rest_s(gantry_travel_deg(end.gantry_deg, start.gantry_deg, machine.gantry.range_deg), gantry),
            _turn_s(end.collimator_deg, start.collimator_deg, machine.collimator.speed_deg_s),
            _turn_s(end.couch_deg, start.couch_deg, machine.couch.speed_deg_s),
        )
    return total


def delivery_time_s(plan: Plan, machine: Machine) -> float:
    """Beams and what lies between them."""
    return sum(time_of(beam, machine).total_s for beam in plan.beams) + travel_s(plan, machine)


def gantry_travel_deg(start_deg: float, end_deg: float, range_deg: tuple[float, float]) -> float:
    """Degrees between two gantry angles by the shortest way inside the mechanical range; of an angle that two places of
    the range stand for (180 and -180 of a C-arm) the nearer one counts."""
    return min(
        (abs(b - a) for a in _places(start_deg, range_deg) for b in _places(end_deg, range_deg)),
        default=abs((end_deg - start_deg + HALF_TURN_DEG) % 360.0 - HALF_TURN_DEG),
    )


def _places(angle_deg: float, range_deg: tuple[float, float]) -> list[float]:
    low, high = range_deg
    first = low + (angle_deg - low) % 360.0
    return [place for place in (first, first + 360.0) if place <= high + 1e-6]


def _turn_s(start_deg: float, end_deg: float, speed_deg_s: float) -> float:
    turn = abs((end_deg - start_deg + HALF_TURN_DEG) % 360.0 - HALF_TURN_DEG)
    return rest_to_rest_s(turn, AxisLimit(speed_deg_s))


def complexity_of(plan: Plan) -> Complexity | None:
    """Of a plan, its beams weighed by monitor units; None if it has no beam with an open aperture."""
    measured: list[Complexity] = []
    mu: list[float] = []
    for beam in plan.beams:
        try:
            measured.append(complexity(shapes_of(beam)))
        except EngineError:
            continue
        mu.append(beam.mu)
    return combined(measured, mu) if measured else None
