"""The best combination of plans for a wish: a small problem in one weight for each plan.

Minimised is what the wish falls short of, at a price that beats everything; then goals newly missed and what goals
lose, by priority; of equal answers the one nearest to the plan is taken. What must not be lost may not come beyond its
bound. Means are linear in the weights; near-maxima and DVH points are not, so that the problem is solved as a sequence
of linear programs within a trust region (Fletcher and Sainz de la Maza, Math Program 43:235, 1989) in SciPy's HiGHS,
each step judged by the values of the combined dose itself. It ends within what must not be lost, always: the middle
keeps that exactly, and the last step is taken back towards it as far as it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from appliance.errors import PlanningError
from appliance.execution.navigation.surface import WISH, Surface, Weights

WISH_PRICE, BREACH_PRICE = 1000.0, 1.0e4
"""Prices of the wish and of what must not be lost, for a whole limit (chosen: beyond any sum of the others)."""
POINTS = {1: 10.0, 2: 5.0, 3: 2.0}
MISS_PRICE, LOSS_PRICE = 10.0, 1.0
"""For a whole limit of a goal of one point: what is newly missed, and what is lost. Gains nobody asked for earn nothing
(with a fifth of a loss's price they took the answer three times as far from the plan as the wish, and the deliverable
plan fell short of them)."""
AWAY_PRICE = 0.01
"""Price of leaving the plan at all: of equal answers the one nearest to it."""
SECANT = 0.05
"""Slopes are taken over this share of the way to each plan, because quantiles of a dose are only piecewise smooth."""
STEPS, SMALLEST = 14, 0.01
"""Linear programs at most, and the trust region at which it ends: a hundredth of the way to a plan."""
BISECTIONS = 12
NO_GAIN, ROUNDING = 1e-9, 1e-9
"""Differences of price, and relative ones of a value, that are none."""


@dataclass(frozen=True)
class Bounds:
    """By row of the surface: may it not come beyond `bound` (in its unit), or may it give way at a price."""

    held: NDArray[np.bool_]
    bound: NDArray[np.float64]

    def broken(self, surface: Surface, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(rows,) true where a value is beyond what must be kept."""
        beyond = [row.beyond(v, b) for row, v, b in zip(surface.rows, values, self.bound, strict=True)]
        return self.held & (np.array(beyond) > ROUNDING)


@dataclass(frozen=True)
class Part:
    """What one row adds to the price: the largest of its lines, each a factor times the relative way that the value
    lies beyond a reference (in the row's unit)."""

    row: int
    lines: tuple[tuple[float, float], ...]


def parts_of(surface: Surface, bounds: Bounds) -> tuple[Part, ...]:
    """All that is paid for, but the price of leaving the plan."""
    parts = []
    for place, row in enumerate(surface.rows):
        if bounds.held[place]:
            bound = float(bounds.bound[place])
            parts.append(Part(place, ((BREACH_PRICE, bound), (0.0, bound))))
        if row.number == WISH:
            parts.append(Part(place, ((WISH_PRICE, row.limit), (0.0, row.limit))))
            continue
        points = POINTS.get(row.priority, POINTS[3])
        kept = row.limit if row.short(row.now) <= 0 else row.now
        parts.append(Part(place, ((points * MISS_PRICE, kept), (0.0, kept))))
        if row.spared:
            parts.append(Part(place, ((points * LOSS_PRICE, row.now), (0.0, row.now))))
    return tuple(parts)


def best_combination(surface: Surface, bounds: Bounds) -> Weights:
    """Weights (anchors,). Raises PlanningError where a linear program cannot be solved."""
    parts = parts_of(surface, bounds)
    weights = surface.middle
    values = surface.values(weights)
    price, radius = _price(surface, parts, weights, values), 1.0
    for _ in range(STEPS):
        wanted = _step(surface, parts, weights, values, radius)
        tried = surface.values(wanted)
        moved, its_price = float(np.abs(wanted - weights).max()), _price(surface, parts, wanted, tried)
        if its_price < price - NO_GAIN:
            weights, values, price = wanted, tried, its_price
        else:
            radius /= 2
        if min(radius, moved) < SMALLEST:
            break
    return _kept(surface, bounds, weights)


def _kept(surface: Surface, bounds: Bounds, weights: Weights) -> Weights:
    """As far towards the weights as nothing is lost that must be kept."""
    if not bounds.broken(surface, surface.values(weights)).any():
        return weights
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        part = (low + high) / 2
        tried = surface.middle + part * (weights - surface.middle)
        low, high = (low, part) if bounds.broken(surface, surface.values(tried)).any() else (part, high)
    return np.asarray(surface.middle + low * (weights - surface.middle), np.float64)


def _price(surface: Surface, parts: Sequence[Part], weights: Weights, values: NDArray[np.float64]) -> float:
    total = AWAY_PRICE * float(1 - weights[0])
    for part in parts:
        row = surface.rows[part.row]
        total += max(factor * row.beyond(float(values[part.row]), reference) for factor, reference in part.lines)
    return total


def _slopes(surface: Surface, weights: Weights, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows, anchors): change of each value for the whole way from the weights to each plan, by a secant."""
    columns = []
    for place in range(weights.size):
        towards = (1 - SECANT) * weights
        towards[place] += SECANT
        columns.append((surface.values(towards) - values) / SECANT)
    return np.stack(columns, axis=1)


def _step(
    surface: Surface, parts: Sequence[Part], weights: Weights, values: NDArray[np.float64], radius: float
) -> Weights:
    """The best weights of the linear problem within the trust region. Beside the weights each part has a variable, its
    price, which is at least each of its lines."""
    slopes, count = _slopes(surface, weights, values), weights.size
    left, right = [], []
    for place, part in enumerate(parts):
        row = surface.rows[part.row]
        relative = row.sign / row.scale * slopes[part.row]
        for factor, reference in part.lines:
            line = np.zeros(count + len(parts))
            line[:count], line[count + place] = factor * relative, -1.0
            left.append(line)
            right.append(-factor * row.beyond(float(values[part.row]), reference))
    away = np.where(np.arange(count) == 0, -AWAY_PRICE, 0.0)
    near = [(max(0.0, w - radius), min(1.0, w + radius)) for w in weights]
    found = linprog(
        np.concatenate([away, np.ones(len(parts))]), A_ub=np.stack(left), b_ub=np.array(right),
        A_eq=np.concatenate([np.ones(count), np.zeros(len(parts))])[None, :], b_eq=[1.0],
        bounds=[*near, *([(None, None)] * len(parts))], method="highs",
    )  # fmt: skip
    if found.x is None:
        raise PlanningError(f"the combination of plans for the wish was not found ({found.message})")
    wanted = np.clip(found.x[:count], 0.0, 1.0)
    return np.asarray(wanted / wanted.sum(), np.float64)
