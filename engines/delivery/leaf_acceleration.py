"""How long intervals of a moving beam must last, so that no leaf changes its speed faster than it accelerates.

A leaf has one mean speed in each interval. Between the middles (in time) of two intervals it goes from one to the
other, so their difference may be at most the acceleration times the time between: |w2/T2 - w1/T1| <= a (T1 + T2) / 2, w
the signed ways and T the seconds. From or to rest: |w| <= a T^2 / 2, from rest to rest: |w| <= a T^2 / 4.

Two intervals that both last sqrt((|w1| + |w2|) / a) keep this whatever comes before and after; so no interval that
moves on at one end at least ever needs more than sqrt(2 w / a), w the longest way of all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

BISECTIONS = 30
"""Halvings of at most a second: to a nanosecond."""
ROUNDING = 1e-9
"""Relative: an acceleration beyond its limit by this is kept."""


def leaf_seconds(ways_mm: Vector, seconds: Vector, acceleration: float, at_rest: NDArray[np.bool_]) -> Vector:
    """(n,) seconds that intervals need at least, 0 where `seconds` (n,) will do. ways_mm (n, leaves): signed ways of
    each leaf; acceleration mm/s^2; at_rest (n + 1,): control points at which all leaves stand still.

    Both intervals beside a control point that asks for too much are raised to one level, the least that mends it there.
    A longer interval may ask for more of the next, so this is asked again with what came out."""
    need = np.zeros_like(seconds)
    first, second = slice(None, -1), slice(1, None)
    broken = np.flatnonzero(_excess(ways_mm[first], ways_mm[second], seconds[first], seconds[second], acceleration) > 0)
    ways = ways_mm[broken], ways_mm[broken + 1]
    low = np.zeros(broken.size)
    high = sure_seconds(*ways, acceleration)
    for _ in range(BISECTIONS):
        level = 0.5 * (low + high)
        times = np.maximum(seconds[broken], level), np.maximum(seconds[broken + 1], level)
        too_low = _excess(*ways, *times, acceleration) > 0
        low, high = np.where(too_low, level, low), np.where(too_low, high, level)
    np.maximum.at(need, broken, high)
    np.maximum.at(need, broken + 1, high)
    stops = at_rest[:-1].astype(np.float64) + at_rest[1:]
    need = np.maximum(need, np.sqrt(2 * stops * np.abs(ways_mm).max(axis=1, initial=0.0) / acceleration))
    return np.where(need > seconds * (1 + ROUNDING), need, 0.0)


def sure_seconds(first_mm: Vector, second_mm: Vector, acceleration: float) -> Vector:
    """(k,) seconds in which any leaf can go over from one way (k, leaves) to the next."""
    return np.asarray(np.sqrt((np.abs(first_mm) + np.abs(second_mm)).max(axis=1, initial=0.0) / acceleration))


def _excess(first_mm: Vector, second_mm: Vector, first_s: Vector, second_s: Vector, acceleration: float) -> Vector:
    """(k,) mm/s by which the leaf that changes its speed most does so too fast; not above 0 where none does."""
    change = np.abs(_speeds(second_mm, second_s) - _speeds(first_mm, first_s)).max(axis=1, initial=0.0)
    return np.asarray(change - acceleration * (1 + ROUNDING) * 0.5 * (first_s + second_s))


def _speeds(ways_mm: Vector, seconds: Vector) -> Vector:
    """(k, leaves) mm/s; an interval that takes no time moves no leaf."""
    some = seconds[:, None] > 0
    return np.asarray(np.divide(ways_mm, seconds[:, None], out=np.zeros_like(ways_mm), where=some), np.float64)
