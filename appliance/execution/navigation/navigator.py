"""Answers a wish from a set of plans within a fraction of a second: the combination that serves it best, what it costs,
and where it is not to be had, how far it goes and what holds it."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.navigation import Answer, Forecast, TradeOffSet, Wish
from appliance.errors import PlanningError
from appliance.execution.navigation.combining import Bounds, best_combination
from appliance.execution.navigation.surface import HOT, NO_PRIORITY, WISH, Row, Surface, Weights, in_order, same_goal
from appliance.execution.navigation.telling import told_of_answer

REACHED = 0.001
"""A wish counts as met if it is missed by no more than this share of its limit."""
LEAST_PART = 1e-4
"""Plans with less of a share in a combination are not named."""


class Navigator:
    """One set of plans. Raises PlanningError for a set without any plan beside the middle: there is nothing to trade
    then, and `known.why` says why."""

    def __init__(self, known: TradeOffSet) -> None:
        if len(known.anchors) < 2:
            raise PlanningError(known.why or "no plan around this one was made, so nothing can be traded")
        self.known = in_order(known)

    def ask(self, wish: Wish, allowed: Iterable[str] = ()) -> Answer:
        """allowed: structures whose goals may be lost for it although they are as important. Raises PlanningError."""
        start = time.monotonic()
        surface = Surface(self.known, wish)
        if not surface.rows or surface.rows[0].number != WISH:
            raise PlanningError(f"{wish.structure} has no volume in this case")
        bounds = self._bounds(surface, wish, frozenset(allowed))
        weights = best_combination(surface, bounds)
        values = surface.values(weights)
        held_by: tuple[tuple[str, float], ...] = ()
        further: float | None = None
        if surface.rows[0].short(float(values[0])) > REACHED:
            held_by, further = self._beyond(surface, bounds)
        return self._answer(surface, wish, weights, values, (held_by, further, time.monotonic() - start))

    def fluence(self, answer: Answer) -> NDArray[np.float64]:
        """MU of each beamlet (beamlets,) of the combination that an answer is about."""
        part = dict(answer.parts)
        weights = np.array([part.get(name, 0.0) for name in self.known.names])
        return np.asarray(weights / weights.sum() @ self.known.fluence.astype(np.float64), np.float64)

    def _bounds(self, surface: Surface, wish: Wish, allowed: frozenset[str]) -> Bounds:
        """Kept: coverage and the hot-spot limit; goals that are met, of the wish's priority or a higher one; and what
        goals of higher priority have that are missed. A wish for more than a goal that is met has no priority."""
        asked = surface.rows[0]
        same = same_goal(self.known, wish)
        goals = self.known.goal_set.goals
        is_more = same is not None and goals[same].met_by(asked.now)
        priority = NO_PRIORITY if is_more else asked.priority
        held, bound = [], []
        for row in surface.rows:
            is_met = row.short(row.now) <= 0
            bound.append(row.limit if is_met else row.now)
            if row.number in (WISH, same):
                held.append(False)
            elif row.number == HOT or not goals[row.number].caps_dose:
                held.append(True)
            elif goals[row.number].structure in allowed:
                held.append(False)
            else:
                held.append(row.priority <= priority if is_met else row.priority < priority)
        return Bounds(np.array(held), np.array(bound))

    def _beyond(self, surface: Surface, bounds: Bounds) -> tuple[tuple[tuple[str, float], ...], float]:
        """What would be lost if only coverage and the hot-spot limit were kept, in words with its value, and how far
        that goes."""
        goals = self.known.goal_set.goals
        firm = [row.number == HOT or (row.number >= 0 and not goals[row.number].caps_dose) for row in surface.rows]
        values = surface.values(best_combination(surface, Bounds(bounds.held & np.array(firm), bounds.bound)))
        broken = np.flatnonzero(bounds.broken(surface, values))
        return tuple((self._named(surface.rows[place]), float(values[place])) for place in broken), float(values[0])

    def _named(self, row: Row) -> str:
        return "the hot-spot limit" if row.number == HOT else str(self.known.goal_set.goals[row.number])

    def _answer(
        self,
        surface: Surface,
        wish: Wish,
        weights: Weights,
        values: NDArray[np.float64],
        found: tuple[tuple[tuple[str, float], ...], float | None, float],
    ) -> Answer:
        known, by_number = self.known, {row.number: float(v) for row, v in zip(surface.rows, values, strict=True)}
        forecasts = tuple(
            Forecast.of(goal, known.plan_values[number], by_number[number])
            for number, goal in enumerate(known.goal_set.goals)
            if number in by_number
        )
        asked = surface.rows[0]
        held_by, further, seconds = found
        reachable = asked.short(by_number[WISH]) <= REACHED
        parts = tuple((name, float(w)) for name, w in zip(known.names, weights, strict=True) if w >= LEAST_PART)
        sentence = told_of_answer(
            wish, asked.now, by_number[WISH], forecasts, reachable=reachable, held_by=held_by, further=further
        )
        return Answer(
            str(wish), wish.unit, wish.limit, asked.now, by_number[WISH], reachable, forecasts, known.plan_hottest_gy,
            by_number.get(HOT, float("nan")), parts, held_by, further, sentence, seconds,
        )  # fmt: skip
