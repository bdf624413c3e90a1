"""Seconds that a beam needs: for each interval between control points the slowest of gantry, leaves, jaws and dose.

Within an interval every axis moves in step with the others (DICOM PS3.3 C.8.8.14: linearly between control points), so
one number, the speed along the interval, sets all of them. The gantry is the heavy axis: its speed may change only as
fast as its acceleration allows, from one interval to the next too. The fastest speed along a given path under a speed
limit for each piece and one acceleration is found by one pass forwards and one backwards over the control points
(time-optimal path following: Bobrow, Dubowsky, Gibson, Int J Robot Res 4(3):3, 1985; with a constant acceleration the
square of the speed is linear in the angle). Leaves follow with their own acceleration where it is known
(`leaf_acceleration`). Jaws start and stop at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.delivery.leaf_acceleration import leaf_seconds
from engines.errors import EngineError

Vector = NDArray[np.float64]
AXES = ("dose", "leaves", "jaws", "collimator", "couch")
LEAVES = AXES.index("leaves")
ROUNDS = 20
"""Times that leaves slow the others down and are asked again (chosen: 300 random arcs and sweeps needed three at
most); what is left then takes the time in which any leaf could turn round."""


@dataclass(frozen=True)
class AxisLimit:
    """Largest speed (mm/s or deg/s; 0: the axis does not move) and acceleration (per s^2; None: at once)."""

    speed: float
    acceleration: float | None = None


@dataclass(frozen=True)
class MotionLimits:
    gantry: AxisLimit
    leaves: AxisLimit
    jaws: AxisLimit
    collimator: AxisLimit
    couch: AxisLimit
    most_mu_s: float


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One beam, n control points: cumulative_mu (n,); gantry_deg, collimator_deg, couch_deg (n,), followed without a
    jump at 360; leaves_mm (n, leaves), jaws_mm (n, 4) at the isocentre plane."""

    cumulative_mu: Vector
    gantry_deg: Vector
    collimator_deg: Vector
    couch_deg: Vector
    leaves_mm: Vector
    jaws_mm: Vector


@dataclass(frozen=True, eq=False)
class BeamTime:
    """seconds (n - 1,) of each interval, with the gantry at rest before the first and after the last control point.
    running_s: the same if it arrived and left at speed. slowest: what sets each interval's time. beam_on_s and
    moving_s: their sums over intervals with and without dose."""

    seconds: Vector
    running_s: Vector
    slowest: tuple[str, ...]
    beam_on_s: float
    moving_s: float

    @property
    def total_s(self) -> float:
        return self.beam_on_s + self.moving_s


def beam_time(path: Trajectory, limits: MotionLimits) -> BeamTime:
    """Seconds of a beam. An interval that no time would do (an axis that does not move has to) takes infinite seconds.

    Raises EngineError for fewer than two control points or arrays that do not fit."""
    count = path.cumulative_mu.size
    sizes = {len(getattr(path, name)) for name in Trajectory.__dataclass_fields__}
    if count < 2 or sizes != {count}:
        raise EngineError(f"a trajectory needs two control points or more, of one number: {sorted(sizes)}")
    seconds, _ = _timed(path, limits, rests_at_ends=True)
    running, floors = _timed(path, limits, rests_at_ends=False)
    others = floors.max(axis=0)
    which = np.where(running > others * (1 + 1e-9), len(AXES), floors.argmax(axis=0))
    has_dose = np.diff(path.cumulative_mu) > 0
    return BeamTime(
        seconds=seconds,
        running_s=running,
        slowest=tuple((*AXES, "gantry")[i] for i in which),
        beam_on_s=float(seconds[has_dose].sum()),
        moving_s=float(seconds[~has_dose].sum()),
    )


def _timed(path: Trajectory, limits: MotionLimits, *, rests_at_ends: bool) -> tuple[Vector, Vector]:
    """(seconds, floors (axes, n - 1)) of each interval: leaves that would have to change their speed too fast need more
    seconds, which slow the gantry down, until nothing changes."""
    floors, turn = _floors_s(path, limits), np.diff(path.gantry_deg)
    seconds = _with_gantry_s(turn, floors.max(axis=0), limits.gantry, rests_at_ends=rests_at_ends)
    acceleration = limits.leaves.acceleration
    if acceleration is None:
        return seconds, floors
    alone = _alone(path)  # from rest to rest already
    ways = np.where(alone[:, None], 0.0, np.diff(path.leaves_mm, axis=0))
    at_rest = np.append(alone, rests_at_ends) | np.insert(alone, 0, rests_at_ends)
    for left in range(ROUNDS, 0, -1):
        need = leaf_seconds(ways, seconds, acceleration, at_rest)
        if not need.any():
            break
        if left == 1:
            need = np.maximum(need, np.sqrt(2 * np.abs(ways).max() / acceleration))
        floors[LEAVES] = np.maximum(floors[LEAVES], need)
        seconds = _with_gantry_s(turn, floors.max(axis=0), limits.gantry, rests_at_ends=rests_at_ends)
    return seconds, floors


def _alone(path: Trajectory) -> NDArray[np.bool_]:
    """Intervals in which nothing but light axes moves, with the beam off."""
    return np.asarray((np.diff(path.cumulative_mu) <= 0) & (np.diff(path.gantry_deg) == 0))


def rest_to_rest_s(distance: float, limit: AxisLimit) -> float:
    """Seconds of one axis alone over a distance (of either sign): up to speed, on, and down to rest."""
    way = abs(distance)
    if way == 0:
        return 0.0
    if limit.speed <= 0:
        return float("inf")
    if limit.acceleration is None:
        return way / limit.speed
    if way * limit.acceleration < limit.speed**2:
        return float(2 * np.sqrt(way / limit.acceleration))
    return way / limit.speed + limit.speed / limit.acceleration


def _floors_s(path: Trajectory, limits: MotionLimits) -> Vector:
    """(axes, n - 1): least seconds of each interval by each of AXES."""
    mu = np.diff(path.cumulative_mu)
    alone = _alone(path)
    rows = [np.maximum(mu, 0) / limits.most_mu_s]
    for positions, limit in (
        (path.leaves_mm, limits.leaves),
        (path.jaws_mm, limits.jaws),
        (path.collimator_deg[:, None], limits.collimator),
        (path.couch_deg[:, None], limits.couch),
    ):
        way = np.abs(np.diff(positions, axis=0)).max(axis=1, initial=0.0)
        steady = AxisLimit(limit.speed)
        rows.append(
            np.array(
                [rest_to_rest_s(w, limit if still else steady) for w, still in zip(way.tolist(), alone, strict=True)]
            )
        )
    return np.stack(rows)


def _with_gantry_s(turn_deg: Vector, others_s: Vector, gantry: AxisLimit, *, rests_at_ends: bool) -> Vector:
    """Seconds of each interval with the gantry's turn in it. others_s: what the other axes need at least."""
    way, acceleration = np.abs(turn_deg), gantry.acceleration
    with np.errstate(divide="ignore", invalid="ignore"):
        # Divided by no less than the gantry's own time: a dose of almost nothing must not overflow.
        slowest_s = np.maximum(others_s, way / gantry.speed)
        cap = np.divide(way, slowest_s, out=np.full_like(slowest_s, gantry.speed), where=slowest_s > 0)
    cap = np.where(way > 0, cap, 0.0)
    if acceleration is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(way > 0, np.maximum(others_s, way / gantry.speed), others_s)
    node = _node_speeds(turn_deg, cap, acceleration, rests_at_ends=rests_at_ends)
    first, final = node[:-1], node[1:]
    peak = np.sqrt(np.minimum(cap**2, (first**2 + final**2) / 2 + acceleration * way))
    changing = (2 * peak - first - final) / acceleration
    steady_way = np.maximum(way - (2 * peak**2 - first**2 - final**2) / (2 * acceleration), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(way > 0, changing + np.where(steady_way > 0, steady_way / peak, 0.0), others_s)


def _node_speeds(turn_deg: Vector, cap: Vector, acceleration: float, *, rests_at_ends: bool) -> Vector:
    """(n,) greatest gantry speed at each control point, deg/s; 0 where it stops or turns round."""
    going_on = turn_deg[:-1] * turn_deg[1:] > 0
    inner = np.where(going_on, np.minimum(cap[:-1], cap[1:]), 0.0)
    ends = (0.0, 0.0) if rests_at_ends else (float(cap[0]), float(cap[-1]))
    speed = np.concatenate([[ends[0]], inner, [ends[1]]])
    gain = 2 * acceleration * np.abs(turn_deg)
    for k in range(turn_deg.size):
        speed[k + 1] = min(speed[k + 1], float(np.sqrt(speed[k] ** 2 + gain[k])))
    for k in range(turn_deg.size - 1, -1, -1):
        speed[k] = min(speed[k], float(np.sqrt(speed[k + 1] ** 2 + gain[k])))
    return speed
