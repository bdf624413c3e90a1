"""Leaf paths and metersets of all moving fields as one vector for the optimiser, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.planning.leaf_paths import penalty
from appliance.planning.moving_field import FieldLimits, MovingField

Array = NDArray[np.float64]

LEAF_UNIT_MM = 60.0
"""One unit of the leaf variables of a control point with the mean MU; MU are in units of the mean interval (chosen on
the C-shape: 6, 16, 40 and 80 mm ended at 1500, 350, 110 and about 100 after 60 evaluations, longer ones higher
again)."""
MOST_UNEQUAL = 4.0
"""Leaf units differ from the mean's by at most this factor (chosen)."""


@dataclass(frozen=True, eq=False)
class FieldPath:
    """left and right (points, pairs) mm, mu (intervals,)."""

    left_mm: Array
    right_mm: Array
    mu: Array


class MovingVector:
    """Packs MU of every interval, and centre and width of every active pair at every control point. Bounds keep gaps,
    windows and metersets; travel and order of leaves are left to `penalty` and to the projection afterwards."""

    def __init__(
        self, fields: tuple[MovingField, ...], limits: tuple[FieldLimits, ...], paths: tuple[FieldPath, ...]
    ) -> None:
        self._fields, self._limits, self._paths = fields, limits, paths
        self.mu_unit = float(np.concatenate([path.mu for path in paths]).mean())
        self.units_mm = [_units_mm(path.mu, self.mu_unit)[:, None] for path in paths]

    def pack(self) -> tuple[Array, Array, Array]:
        """(start, lower, upper)."""
        start, lower, upper = [], [], []
        for field, limits, path, unit in zip(self._fields, self._limits, self._paths, self.units_mm, strict=True):
            left, right = path.left_mm[:, field.active], path.right_mm[:, field.active]
            ones, gap = np.ones_like(left) / unit, limits.paths.gap_mm
            low, high = limits.paths.window_a_mm[0], limits.paths.window_b_mm[1]
            start += [path.mu / self.mu_unit, 0.5 * (left + right) / unit, (right - left) / unit]
            lower += [np.full(path.mu.shape, limits.least_mu / self.mu_unit), ones * (low + gap / 2), ones * gap]
            upper += [
                np.full(path.mu.shape, limits.most_mu / self.mu_unit),
                ones * (high - gap / 2),
                ones * (high - low),
            ]
        return _flat(start), _flat(lower), _flat(upper)

    def unpack(self, x: Array) -> tuple[FieldPath, ...]:
        out, position = [], 0
        for field, limits, path, unit in zip(self._fields, self._limits, self._paths, self.units_mm, strict=True):
            shape = (len(path.left_mm), int(field.active.sum()))
            size = shape[0] * shape[1]
            mu = x[position : position + field.intervals] * self.mu_unit
            position += field.intervals
            centre = x[position : position + size].reshape(shape) * unit
            half = x[position + size : position + 2 * size].reshape(shape) * (0.5 * unit)
            position += 2 * size
            left, right = path.left_mm.copy(), path.right_mm.copy()
            left[:, field.active] = np.clip(centre - half, *limits.paths.window_a_mm)
            right[:, field.active] = np.clip(centre + half, *limits.paths.window_b_mm)
            out.append(FieldPath(left, right, mu))
        return tuple(out)

    def gradient(self, paths: tuple[FieldPath, ...], slopes: list[FieldPath]) -> Array:
        """Gradient in the packed vector; a leaf that a window holds has none."""
        parts = []
        for field, limits, path, slope, unit in zip(
            self._fields, self._limits, paths, slopes, self.units_mm, strict=True
        ):
            left, right = path.left_mm[:, field.active], path.right_mm[:, field.active]
            a, b = limits.paths.window_a_mm, limits.paths.window_b_mm
            by_left = np.where((left > a[0]) & (left < a[1]), slope.left_mm[:, field.active], 0.0)
            by_right = np.where((right > b[0]) & (right < b[1]), slope.right_mm[:, field.active], 0.0)
            parts += [slope.mu * self.mu_unit, (by_left + by_right) * unit, (by_right - by_left) * (0.5 * unit)]
        return _flat(parts)

    def penalty(self, paths: tuple[FieldPath, ...]) -> tuple[float, list[FieldPath]]:
        """Squared violations of travel and order (mm^2) and their slopes."""
        total, slopes = 0.0, []
        for limits, path in zip(self._limits, paths, strict=True):
            value, left, right = penalty(path.left_mm, path.right_mm, limits.paths)
            total += value
            slopes.append(FieldPath(left, right, np.zeros_like(path.mu)))
        return total, slopes


def _flat(parts: list[Array]) -> Array:
    return np.concatenate([part.ravel() for part in parts])


def _units_mm(mu: Array, mean_mu: float) -> Array:
    """(points,): a leaf with few MU on either side changes the dose less for the same way, so its unit is longer."""
    around = 0.5 * (np.append(mu, mu[-1]) + np.insert(mu, 0, mu[0]))
    return np.asarray(LEAF_UNIT_MM / np.clip(around / mean_mu, 1 / MOST_UNEQUAL, MOST_UNEQUAL), np.float64)
