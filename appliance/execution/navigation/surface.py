"""Values of a combination of the plans of a set, as a deliverable plan of it is expected to have them.

Doses combine exactly; every metric is taken of the combined dose, whether it is linear in dose (a mean) or not. To each
value is added what the deliverable plan differs by from the middle of the set: apertures, and the full calculation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import ClinicalGoal, Comparator
from appliance.contracts.navigation import TradeOffSet, Wish
from appliance.contracts.sampled import Found, goal_values, hottest_gy
from appliance.execution.score import is_organ

Weights = NDArray[np.float64]
NEARLY = 0.9
WISH, HOT = -1, -2
HIGHEST, NO_PRIORITY = 1, 99
"""Priority of the hot-spot limit, and of a wish that no goal of the set is about."""


@dataclass(frozen=True)
class Row:
    """One thing that is watched: a goal of the set by its number, the wish (WISH), or the hot spot (HOT). sign: +1
    where less is better. limit, scale: in its unit. now: in the deliverable plan. spared: of an organ, for which less
    is better without end."""

    number: int
    sign: float
    limit: float
    now: float
    priority: int
    spared: bool = False

    @property
    def scale(self) -> float:
        return max(abs(self.limit), 1e-6)

    def beyond(self, value: float, reference: float) -> float:
        """How far a value is on the bad side of a reference, as a share of the limit."""
        return self.sign * (value - reference) / self.scale

    def short(self, value: float) -> float:
        """Relative miss of the limit, negative where it is met."""
        return self.beyond(value, self.limit)


class Surface:
    """`rows`: what is watched, the wish first. Weights (anchors,) are not negative and sum to one; `middle` is all on
    the plan itself."""

    def __init__(self, known: TradeOffSet, wish: Wish) -> None:
        self._known, self._wish = known, wish
        goal_set = known.goal_set
        self._asked = ClinicalGoal(wish.structure, wish.metric, wish.comparator, wish.limit, wish.unit, 0, "wish")
        self._goals = (self._asked, *goal_set.goals)
        self.middle = np.zeros(len(known.anchors))
        self.middle[0] = 1.0
        self._hot = _hot_part(known)
        self._off = np.zeros(len(self._goals) + 1)
        own = self._values(known.plan_dose_gy)
        plan = np.array([own[0], *known.plan_values, known.plan_hottest_gy])
        same = same_goal(known, wish)
        plan[0] = own[0] if same is None else known.plan_values[same]
        self._off = plan - self._values(known.dose_gy[0])
        limit_gy = max(dose for _, dose in goal_set.prescription) * goal_set.hot_spot_percent / 100
        named = [self._row(WISH, self._asked, plan[0])]
        named += [self._row(i, goal, v) for i, (goal, v) in enumerate(zip(goal_set.goals, plan[1:-1], strict=True))]
        every = [*named, Row(HOT, 1.0, limit_gy, float(plan[-1]), HIGHEST)]
        self._kept = [place for place, row in enumerate(every) if not math.isnan(row.now)]
        self.rows = tuple(every[place] for place in self._kept)

    def _row(self, number: int, goal: ClinicalGoal, now: float) -> Row:
        sign = 1.0 if goal.comparator is Comparator.AT_MOST else -1.0
        same = same_goal(self._known, self._wish) if number == WISH else number
        priority = NO_PRIORITY if same is None else self._known.goal_set.goals[same].priority
        return Row(number, sign, goal.limit, float(now), priority, is_organ(self._known.goal_set, goal))

    def dose_gy(self, weights: Weights) -> NDArray[np.float32]:
        return np.asarray(weights.astype(np.float32) @ self._known.dose_gy, np.float32)

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """One for each of `rows`, in its unit."""
        return (self._values(self.dose_gy(weights)) + self._off)[self._kept]

    def _values(self, dose_gy: NDArray[np.float32]) -> NDArray[np.float64]:
        known = self._known
        found = goal_values(self._goals, known.regions, dose_gy)
        return np.array([*found, hottest_gy(self._hot, known.external, dose_gy)])


def _hot_part(known: TradeOffSet) -> dict[str, Found]:
    """Of the patient only what any plan of the set gives nearly the highest prescription: the hottest 0.1 cc of every
    combination lies there, and the rest need not be sorted each time."""
    highest_gy = max(dose for _, dose in known.goal_set.prescription)
    position, cc = known.regions[known.external]
    near = np.maximum(known.dose_gy.max(axis=0), known.plan_dose_gy)[position] >= NEARLY * highest_gy
    return {known.external: (position[near], cc[near]) if near.any() else (position, cc)}


def same_goal(known: TradeOffSet, wish: Wish) -> int | None:
    """Number of the goal of the set that the wish is about, whatever its limit."""
    found = (
        number
        for number, goal in enumerate(known.goal_set.goals)
        if (goal.structure, goal.metric, goal.comparator) == (wish.structure, wish.metric, wish.comparator)
    )
    return next(found, None)


def in_order(known: TradeOffSet) -> TradeOffSet:
    """The middle first and the others by name, so that no answer depends on the order that they were made in."""
    order = sorted(range(len(known.anchors)), key=lambda i: (known.anchors[i].goal >= 0, known.anchors[i].name))
    return replace(
        known,
        anchors=tuple(known.anchors[i] for i in order),
        dose_gy=known.dose_gy[order],
        fluence=known.fluence[order],
    )
