"""Which leaf paths a machine can follow, and the way back to them.

All limits are linear in the leaf positions, so legal paths form a convex set. `legal` first goes through the limits in
turn, moving what breaks one of them by the least that mends it (successive projection: Bregman, USSR Comput Math Math
Phys 7:200, 1967), and then mixes in as much of one path that keeps every limit with room as it takes to mend what is
left. That last step makes the result legal whatever the input was.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SWEEPS, ENOUGH_MM = 80, 2e-3
"""Rounds of successive projection at most, and the violation at which they end (chosen: mixing mends 2 um of 8 mm of
travel with 0.03 % of the safe path)."""
BISECTIONS = 30
"""Halvings of at most a few hundred mm: to below a nanometre."""
SAFE_HALF_MM = 5.0
"""Half opening of the safe path."""


@dataclass(frozen=True, eq=False)
class PathLimits:
    """Limits of one beam's leaves. gap_mm: least opening. travel_mm: furthest way in one interval. window_a_mm,
    window_b_mm: where the leaves of each bank may stand. span_mm: furthest that leaves of one bank may stand from each
    other at a control point, all layers together. layers: pairs in each layer; neighbours are those of one layer.
    interdigitation: a leaf may pass the opposite neighbours."""

    gap_mm: float
    travel_mm: float
    window_a_mm: tuple[float, float]
    window_b_mm: tuple[float, float]
    span_mm: float
    layers: tuple[int, ...]
    interdigitation: bool

    @property
    def safe_mm(self) -> tuple[float, float]:
        """Left and right of a path that stands still and keeps every limit with room."""
        low, high = max(self.window_a_mm[0], self.window_b_mm[0]), min(self.window_a_mm[1], self.window_b_mm[1])
        middle = 0.5 * (low + high)
        half = max(min(SAFE_HALF_MM, 0.25 * (high - low)), self.gap_mm)
        return middle - half, middle + half


def pairs_of_neighbours(limits: PathLimits) -> NDArray[np.int64]:
    """(k, 2) numbers of pairs beside each other in one layer."""
    starts = np.cumsum((0, *limits.layers))
    return np.array([(i, i + 1) for low, high in pairwise(starts) for i in range(low, high - 1)], np.int64).reshape(
        -1, 2
    )


def violation_mm(left: Array, right: Array, limits: PathLimits) -> float:
    """The largest by which any limit is broken; left and right (points, pairs)."""
    found = [float((limits.gap_mm - (right - left)).max(initial=0.0))]
    for leaves, window in ((left, limits.window_a_mm), (right, limits.window_b_mm)):
        found.append(float((window[0] - leaves).max(initial=0.0)))
        found.append(float((leaves - window[1]).max(initial=0.0)))
        found.append(float((np.abs(np.diff(leaves, axis=0)) - limits.travel_mm).max(initial=0.0)))
        found.append(float((np.ptp(leaves, axis=1) - limits.span_mm).max(initial=0.0)))
    if not limits.interdigitation:
        i, j = pairs_of_neighbours(limits).T
        found.append(float((left[:, i] - right[:, j]).max(initial=0.0)))
        found.append(float((left[:, j] - right[:, i]).max(initial=0.0)))
    return max(found)


def legal(left: Array, right: Array, limits: PathLimits) -> tuple[Array, Array]:
    """The nearest legal path as successive projection finds it, exactly legal."""
    left, right = left.copy(), right.copy()
    for _ in range(SWEEPS):
        _meet_gap(left, right, limits.gap_mm)
        if not limits.interdigitation:
            for i, j in pairs_of_neighbours(limits):
                _meet_order(left, right, i, j)
                _meet_order(left, right, j, i)
        for leaves, window in ((left, limits.window_a_mm), (right, limits.window_b_mm)):
            _meet_travel(leaves, limits.travel_mm)
            np.clip(leaves, *window, out=leaves)
            np.subtract(leaves, beyond_span(leaves, limits.span_mm), out=leaves)
        if violation_mm(left, right, limits) <= ENOUGH_MM:
            break
    return _mixed(left, right, limits)


def _meet_gap(left: Array, right: Array, gap_mm: float) -> None:
    short = 0.5 * np.maximum(gap_mm - (right - left), 0.0)
    left -= short
    right += short


def _meet_order(left: Array, right: Array, i: int, j: int) -> None:
    over = 0.5 * np.maximum(left[:, i] - right[:, j], 0.0)
    left[:, i] -= over
    right[:, j] += over


def beyond_span(leaves: Array, span_mm: float) -> Array:
    """How far each leaf (points, pairs) lies outside the stretch of span_mm, placed at each control point so that the
    squared ways back into it are least: the way to the nearest bank that keeps the span. The best place is where the
    ways from both sides sum to zero; bisection finds it, as their sum rises with the place."""
    out = np.zeros_like(leaves)
    wide = np.flatnonzero(np.ptp(leaves, axis=1) > span_mm)
    if not wide.size:
        return out
    bank = leaves[wide]
    low, high = bank.min(axis=1), bank.max(axis=1) - span_mm
    for _ in range(BISECTIONS):
        place = 0.5 * (low + high)
        right_of_best = (bank - np.clip(bank, place[:, None], place[:, None] + span_mm)).sum(axis=1) < 0
        low, high = np.where(right_of_best, low, place), np.where(right_of_best, place, high)
    place = (0.5 * (low + high))[:, None]
    out[wide] = bank - np.clip(bank, place, place + span_mm)
    return out


def _meet_travel(leaves: Array, travel_mm: float) -> None:
    """Every other interval, then those between: within one of the two no leaf position is shared."""
    for first in (0, 1):
        before, after = leaves[first:-1:2], leaves[first + 1 :: 2]
        before = before[: len(after)]
        way = after - before
        over = 0.5 * (way - np.clip(way, -travel_mm, travel_mm))
        before += over
        after -= over


def _mixed(left: Array, right: Array, limits: PathLimits) -> tuple[Array, Array]:
    """A part of the safe path: a limit broken by v, which the safe path keeps with room s, needs v / (v + s) of it."""
    broken = violation_mm(left, right, limits)
    if broken <= 0:
        return left, right
    safe_left, safe_right = limits.safe_mm
    room = min(
        safe_right - safe_left - limits.gap_mm,
        limits.travel_mm,
        limits.span_mm,
        safe_left - limits.window_a_mm[0],
        limits.window_a_mm[1] - safe_left,
        safe_right - limits.window_b_mm[0],
        limits.window_b_mm[1] - safe_right,
        safe_right - safe_left,
    )
    share = broken / (broken + room)
    return left + share * (safe_left - left), right + share * (safe_right - right)


def penalty(left: Array, right: Array, limits: PathLimits) -> tuple[float, Array, Array]:
    """(value, slopes in left and right) of the squared ways, in mm^2, by which travel, span and order are broken."""
    value, slopes = 0.0, (np.zeros_like(left), np.zeros_like(right))
    for leaves, slope in zip((left, right), slopes, strict=True):
        way = np.diff(leaves, axis=0)
        over = way - np.clip(way, -limits.travel_mm, limits.travel_mm)
        value += float((over * over).sum())
        slope[1:] += 2 * over
        slope[:-1] -= 2 * over
        beyond = beyond_span(leaves, limits.span_mm)
        value += float((beyond * beyond).sum())
        np.add(slope, 2 * beyond, out=slope)
    if not limits.interdigitation:
        i, j = pairs_of_neighbours(limits).T
        for a, b in ((i, j), (j, i)):
            over = np.maximum(left[:, a] - right[:, b], 0.0)
            value += float((over * over).sum())
            # Within (i, j) and within (j, i) no pair is named twice, so plain indexing adds up.
            slopes[0][:, a] += 2 * over
            slopes[1][:, b] -= 2 * over
    return value, *slopes
