"""First leaf paths of arcs: each sector's fluence in a few openings, spread over its intervals, with leaves that slide
from one opening to the next (the start of Bzdusek et al., Med Phys 36:2328, 2009, here with finer sectors)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.planning.arcs import Arc, Sector, used_rows
from appliance.planning.beamlets import Beamlets
from appliance.planning.geometry import Arrangement
from appliance.planning.leaf_paths import legal
from appliance.planning.machine import Machine
from appliance.planning.moving_field import FieldLimits, MovingField, limits_of, waiting
from appliance.planning.moving_vector import FieldPath
from appliance.planning.segments import FIELD_ROOM_MM, JAW_MARGIN_MM
from appliance.planning.timing import SECONDS_PER_MINUTE
from engines.sequencing import sequence_fluence

Array = NDArray[np.float64]

OPENINGS = 4
"""Openings that a sector's fluence is cut into (chosen: with 12 degree sectors one for every interval; with three the
merit after as many evaluations was several times higher)."""
LEAST_OPENING_MM = 5.0
CROSSING_DEG = 16.0
"""The gantry is as slow as it takes for a leaf to cross its field in so many degrees, where leaves need it. Chosen:
OpenKBP 34 (220 mm, one arc) had a merit of 246, 62 and 35 after 120 evaluations with 1, 2 and 3 times the leaf travel
that the fastest gantry leaves; the C-shape (120 mm) 2.5 and 1.2 with 1 and 2 times."""


def arc_fields(
    arcs: tuple[Arc, ...], sectors: tuple[Sector, ...], arrangement: Arrangement, beamlets: Beamlets, machine: Machine
) -> tuple[MovingField, ...]:
    fields, direction = [], 0
    for number, arc in enumerate(arcs):
        own = [beam for beam, sector in enumerate(sectors) if sector.arc == number]
        fields.append(
            MovingField(
                gantry_deg=arc.gantry_deg,
                turn_deg=arc.turn_deg,
                collimator_deg=arc.collimator_deg,
                isocentre_mm=arrangement.isocentre_mm,
                directions=np.arange(direction, direction + len(arc.frames)),
                **field_extent(own, beamlets, machine),
            )
        )
        direction += len(arc.frames)
    return tuple(fields)


def field_extent(beams: list[int], beamlets: Beamlets, machine: Machine) -> dict[str, Any]:
    """The part of MovingField that follows from where targets lie in the fluence of `beams`."""
    layers = beamlets.layers
    active = layers.pairs_of(used_rows([beamlets.rows_of(beam) for beam in beams]))
    used = np.flatnonzero(np.any([(beamlets.cells[beam] >= 0).any(axis=0) for beam in beams], axis=0))
    low, high = ((c - beamlets.columns) * beamlets.width_mm for c in (used[0], used[-1] + 1))
    mlc, jaws = machine.mlc, machine.jaws
    room = FIELD_ROOM_MM
    reach = (
        max(low - room, mlc.position_min_mm, jaws.x1_mm[0] + JAW_MARGIN_MM),
        min(high + room, mlc.position_max_mm, jaws.x2_mm[1] - JAW_MARGIN_MM),
    )
    y1 = min(float(layers.low_mm[active].min()), jaws.y1_mm[1])
    y2 = max(float(layers.high_mm[active].max()), jaws.y2_mm[0])
    return {
        "active": active,
        "y_mm": (y1, y2),
        "reach_mm": (round(reach[0], 1), round(reach[1], 1)),
        "layers": layers.counts,
    }


class ArcStarter:
    """Implements moving_leaves.Starter."""

    def __init__(self, fields: tuple[MovingField, ...], sectors: tuple[Sector, ...], machine: Machine) -> None:
        self._fields, self._sectors, self._machine = fields, sectors, machine

    def __call__(
        self, beamlets: Beamlets, values: NDArray[np.float64]
    ) -> tuple[tuple[FieldPath, ...], tuple[FieldLimits, ...]]:
        paths, every = [], []
        for number, field in enumerate(self._fields):
            keys = _Keys(field)
            for beam, sector in enumerate(self._sectors):
                if sector.arc == number:
                    keys.add(beamlets.map_of(beam, values), beamlets, sector)
            limits = self.limits(field, keys.mu)
            left, right = legal(*keys.path(limits), limits.paths)
            paths.append(FieldPath(left, right, np.clip(keys.mu, limits.least_mu, limits.most_mu)))
            every.append(limits)
        return tuple(paths), tuple(every)

    def limits(self, field: MovingField, mu: Array) -> FieldLimits:
        """Leaves may use the time that the gantry takes at its fastest, that the mean meterset takes, or that a leaf
        needs to cross its field within CROSSING_DEG, whichever is longest."""
        turn_s = abs(field.turn_deg) / self._machine.gantry.speed_deg_s
        mean = float(mu.mean())
        dose_s = mean / self._machine.dose_rate.maximum_mu_min * SECONDS_PER_MINUTE
        low, high = field.reach_mm
        crossing_s = (high - low) / self._machine.mlc.leaf_speed_mm_s * abs(field.turn_deg) / CROSSING_DEG
        return limits_of(field, self._machine, mean, max(turn_s, dose_s, crossing_s))


@dataclass(eq=False)
class _Keys:
    """Openings at places along the arc, in intervals, and what is known of each pair there."""

    field: MovingField

    def __post_init__(self) -> None:
        self.mu = np.zeros(self.field.intervals)
        self._place: list[float] = []
        self._left: list[Array] = []
        self._right: list[Array] = []
        self._sweep = 1

    def add(self, fluence: Array, beamlets: Beamlets, sector: Sector) -> None:
        """A sector's fluence (pairs, columns) as openings in order along the leaves, to and fro by sector."""
        used = np.flatnonzero(fluence.any(axis=0))
        if not used.size:
            return
        start, stop = int(used[0]), int(used[-1]) + 1
        width = beamlets.width_mm
        smallest = max(1, int(np.ceil(LEAST_OPENING_MM / width)))
        found = sequence_fluence(
            fluence[:, start:stop],
            beamlets.layers.heights,
            segments=min(OPENINGS, sector.last - sector.first),
            window=stop - start,
            smallest=smallest,
        )
        if not len(found.weight):
            return
        zero_mm = (start - beamlets.columns) * width
        first, last = beamlets.layers.cover(found.first, found.last, stop - start, smallest)
        is_open = last > first
        left = np.where(is_open, zero_mm + first * width, np.nan)
        right = np.where(is_open, zero_mm + last * width, np.nan)
        order = np.argsort(np.nanmean(0.5 * (left + right), axis=1))[:: self._sweep]
        self._sweep = -self._sweep
        parts = np.array_split(np.arange(sector.first, sector.last), len(order))
        for key, part in zip(order, parts, strict=True):
            self.mu[part] = found.weight[key] / len(part)
            self._place.append(float(part.mean()) + 0.5)
            self._left.append(left[key])
            self._right.append(right[key])

    def path(self, limits: FieldLimits) -> tuple[Array, Array]:
        """Left and right (points, pairs) between the keys; a pair that is closed at one waits half-way between where it
        is open before and after."""
        points, gap = np.arange(self.field.intervals + 1, dtype=np.float64), limits.paths.gap_mm
        closed_left, closed_right = waiting(limits.paths)
        place = np.array(self._place)
        keys_left, keys_right = np.array(self._left), np.array(self._right)
        left, right = np.tile(closed_left, (points.size, 1)), np.tile(closed_right, (points.size, 1))
        for pair in np.flatnonzero(self.field.active):
            is_open = ~np.isnan(keys_left[:, pair])
            if not is_open.any():
                continue
            centre = 0.5 * (keys_left[:, pair] + keys_right[:, pair])
            half = np.where(is_open, 0.5 * (keys_right[:, pair] - keys_left[:, pair]), gap / 2)
            centre = np.interp(place, place[is_open], centre[is_open])
            along, opening = np.interp(points, place, centre), np.interp(points, place, half)
            left[:, pair], right[:, pair] = along - opening, along + opening
        return left, right
