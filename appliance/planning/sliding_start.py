"""First leaf paths of sliding windows: one sweep of each direction's fluence, cut into intervals of equal MU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.planning.arc_start import field_extent
from appliance.planning.arcs import used_rows
from appliance.planning.beamlets import Beamlets
from appliance.planning.geometry import Arrangement
from appliance.planning.leaf_paths import legal
from appliance.planning.machine import Machine
from appliance.planning.moving_field import FieldLimits, MovingField, limits_of, waiting
from appliance.planning.moving_vector import FieldPath
from appliance.planning.timing import SECONDS_PER_MINUTE
from engines.sequencing import positions, sweep

INTERVALS = 24
"""Intervals of one sweep (chosen: about one for each 5 mm of a common field's width)."""
SPEED_SHARE = 0.8
"""Part of the leaves' largest speed that a sweep is made for (chosen: leaves room to the optimiser)."""

Array = NDArray[np.float64]


def sliding_fields(arrangement: Arrangement, beamlets: Beamlets, machine: Machine) -> tuple[MovingField, ...]:
    return tuple(
        MovingField(
            gantry_deg=(direction.gantry_deg,) * (INTERVALS + 1),
            turn_deg=0.0,
            collimator_deg=direction.collimator_deg,
            couch_deg=direction.couch_deg,
            isocentre_mm=arrangement.isocentre_mm,
            directions=np.full(INTERVALS, beam, np.int64),
            **field_extent([beam], beamlets, machine),
        )
        for beam, direction in enumerate(arrangement.directions)
    )


class SlidingStarter:
    """Implements moving_leaves.Starter."""

    def __init__(self, fields: tuple[MovingField, ...], machine: Machine) -> None:
        self._fields, self._machine = fields, machine

    def __call__(
        self, beamlets: Beamlets, values: NDArray[np.float64]
    ) -> tuple[tuple[FieldPath, ...], tuple[FieldLimits, ...]]:
        paths, every = [], []
        for beam, field in enumerate(self._fields):
            path, limits = self._field(field, beamlets, beamlets.map_of(beam, values))
            paths.append(path)
            every.append(limits)
        return tuple(paths), tuple(every)

    def limits(self, field: MovingField, mu: Array) -> FieldLimits:
        """Leaves may use the time that the mean meterset of an interval takes."""
        mean = float(mu.mean())
        return limits_of(field, self._machine, mean, mean / self._machine.dose_rate.maximum_mu_min * SECONDS_PER_MINUTE)

    def _field(self, field: MovingField, beamlets: Beamlets, fluence: Array) -> tuple[FieldPath, FieldLimits]:
        """Rows that are done before the others wait, closed, at the end of the sweep."""
        rate = self._machine.dose_rate.maximum_mu_min / SECONDS_PER_MINUTE
        speed = SPEED_SHARE * self._machine.mlc.leaf_speed_mm_s
        used = np.flatnonzero((beamlets.cells[self._fields.index(field)] >= 0).any(axis=0))
        start, stop = int(used[0]), int(used[-1]) + 1
        rows = used_rows([beamlets.rows_of(self._fields.index(field))])
        part = fluence[rows][:, start:stop]
        right_passes, left_passes = sweep(part, mu_per_column=beamlets.width_mm / speed * rate)
        total = float(left_passes.max())
        mu = np.full(field.intervals, total / field.intervals)
        at = np.linspace(0.0, total, field.intervals + 1)
        limits = self.limits(field, mu)
        zero_mm = (start - beamlets.columns) * beamlets.width_mm
        low, high = np.full((at.size, rows.size), np.inf), np.full((at.size, rows.size), -np.inf)
        low[:, rows] = zero_mm + positions(left_passes, at) * beamlets.width_mm
        high[:, rows] = zero_mm + positions(right_passes, at) * beamlets.width_mm
        closed_left, closed_right = waiting(limits.paths)
        left, right = beamlets.layers.around(low, high)
        left, right = np.where(field.active, left, closed_left), np.where(field.active, right, closed_right)
        left, right = legal(left, right, limits.paths)
        return FieldPath(left, right, np.clip(mu, limits.least_mu, limits.most_mu)), limits
