"""One beam whose leaves move while it delivers: what stays fixed of it, its limits, and its leaf paths."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.planning.delivery_model import MU_ROOM
from appliance.planning.leaf_paths import PathLimits
from appliance.planning.machine import Machine
from appliance.planning.segments import JAW_MARGIN_MM
from appliance.planning.timing import SECONDS_PER_MINUTE, slowest_seconds
from engines.photon.moving import Trajectory

Array = NDArray[np.float64]

ROUNDING_MM = 0.03
"""Room for leaf positions rounded to 0.01 mm at both ends of an interval, and for float32."""
MOST_MU_RATIO = 5.0
"""No interval gets more than this many times the mean of its beam (chosen: bounds the slowest gantry speed, and with it
the least meterset that keeps the dose rate above the machine's slowest)."""


@dataclass(frozen=True, eq=False)
class MovingField:
    """gantry_deg (points,) as exported; turn_deg: signed, of one interval (0: the gantry stands). directions
    (intervals,): index of each interval's direction in the dose model, not falling. active (pairs,): leaf pairs between
    the Y jaws, pairs of all layers in order. y_mm: Y jaws, which stand still. reach_mm: how far leaves may go along
    their axis."""

    gantry_deg: tuple[float, ...]
    turn_deg: float
    collimator_deg: float
    isocentre_mm: tuple[float, float, float]
    directions: NDArray[np.int64]
    active: NDArray[np.bool_]
    y_mm: tuple[float, float]
    reach_mm: tuple[float, float]
    layers: tuple[int, ...]
    couch_deg: float = 0.0

    @property
    def intervals(self) -> int:
        return len(self.directions)


@dataclass(frozen=True, eq=False)
class FieldLimits:
    """Limits of one field's variables: its leaf paths, and the least and most MU of an interval."""

    paths: PathLimits
    least_mu: float
    most_mu: float


def limits_of(field: MovingField, machine: Machine, mean_mu: float, step_s: float) -> FieldLimits:
    """step_s: seconds that every interval may give its leaves to travel. Leaves travel no further than in that time;
    the gantry takes at least as long as they do, or longer where the dose needs it, and no interval is so slow that its
    smallest meterset falls below the slowest dose rate."""
    rate, mlc, turn = machine.dose_rate, machine.mlc, abs(field.turn_deg)
    most_mu = MOST_MU_RATIO * mean_mu
    if turn:
        most_mu = min(most_mu, rate.mu_per_deg[1] * turn)
    slowest = slowest_seconds(turn, step_s, most_mu, machine)
    least_mu = max(rate.minimum_mu_min / SECONDS_PER_MINUTE * slowest, rate.mu_per_deg[0] * turn) * MU_ROOM
    low, high = field.reach_mm
    (low_a, high_a), (low_b, high_b) = mlc.bank_a_mm, mlc.bank_b_mm
    paths = PathLimits(
        gap_mm=mlc.minimum_gap_mm + ROUNDING_MM,
        travel_mm=mlc.leaf_speed_mm_s * step_s - ROUNDING_MM,
        window_a_mm=(max(low, low_a), min(high, high_a)),
        window_b_mm=(max(low, low_b), min(high, high_b)),
        span_mm=mlc.bank_span_max_mm - ROUNDING_MM,
        layers=field.layers,
        interdigitation=mlc.interdigitation,
    )
    return FieldLimits(paths, least_mu, max(most_mu, 2 * least_mu))


def waiting(limits: PathLimits) -> tuple[Array, Array]:
    """(left, right) (pairs,) of pairs with nothing to open, closed to their gap: one layer in the middle of the field,
    behind the jaws across the leaves; two layers at opposite ends of it, each before the gap of the other."""
    low, high = max(limits.window_a_mm[0], limits.window_b_mm[0]), min(limits.window_a_mm[1], limits.window_b_mm[1])
    middle = 0.5 * sum(limits.safe_mm) - 0.5 * limits.gap_mm
    places = (middle,) if len(limits.layers) == 1 else (low, high - limits.gap_mm)
    left = np.repeat(places, limits.layers)
    return left, left + limits.gap_mm


def trajectory(left: Array, right: Array, mu: Array, field: MovingField, machine: Machine) -> Trajectory:
    """With the X jaws JAW_MARGIN_MM outside the outermost active leaves of each control point, or of all of them where
    the machine's jaws do not move."""
    x1 = left[:, field.active].min(axis=1) - JAW_MARGIN_MM
    x2 = right[:, field.active].max(axis=1) + JAW_MARGIN_MM
    if not machine.jaws.tracking:
        x1, x2 = np.full_like(x1, x1.min()), np.full_like(x2, x2.max())
    short = 0.5 * np.maximum(machine.jaws.minimum_opening_mm - (x2 - x1), 0.0)
    x_mm = np.stack([np.clip(x1 - short, *machine.jaws.x1_mm), np.clip(x2 + short, *machine.jaws.x2_mm)], axis=1)
    return Trajectory(left, right, x_mm, mu)


def with_jaw_slopes(slope: Trajectory, path: Trajectory, field: MovingField, machine: Machine) -> Trajectory:
    """The slopes of jaws that follow a leaf added to that leaf's."""
    left, right = slope.left_mm.copy(), slope.right_mm.copy()
    first = np.where(field.active, path.left_mm, np.inf).argmin(axis=1)
    last = np.where(field.active, path.right_mm, -np.inf).argmax(axis=1)
    point = np.arange(len(left))
    x1, x2 = path.left_mm[point, first] - JAW_MARGIN_MM, path.right_mm[point, last] + JAW_MARGIN_MM
    follows_1 = (path.x_mm[:, 0] == x1) & machine.jaws.tracking
    follows_2 = (path.x_mm[:, 1] == x2) & machine.jaws.tracking
    left[point, first] += slope.x_mm[:, 0] * follows_1
    right[point, last] += slope.x_mm[:, 1] * follows_2
    return replace(slope, left_mm=left, right_mm=right)
