"""What a planner does by habit: look at the goals, push what is missed, release what is met with room.

Mean doses are pushed by moving the dose that is asked for, by just what the goal is missed by: the multiplier step of
the augmented Lagrangian (Hestenes, J Optim Theory Appl 4:303, 1969; Powell, in Optimization, Academic Press, 1969),
which meets a limit exactly at a bounded weight. Near-maximum and dose-volume goals are pushed by weight alone, because
moving their dose would catch volume that the goal does not speak of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, MetricKind, Objective, ObjectiveKind, Objectives

PUSH_PER_MISS, LARGEST_PUSH, SMALLEST_RELEASE = 80.0, 2.0, 0.7
"""A missed goal's weight grows by 80 % for each percent that it is missed by, at most twofold a round (chosen: faster
growth makes the merit stiff, and then the optimiser stalls with every goal worse); it is released a third as fast."""
HEAVIEST, LIGHTEST = 16.0, 0.25
"""Weights stay within these multiples of their first value, so that no goal can silence the others (chosen)."""
MEAN_PUSH, MEAN_HEAVIEST = 1.3, 4.0
"""The weight of a missed mean dose grows by this a round, at most to this multiple."""
LARGEST_SHIFT, LOWEST_MEAN = 0.02, 0.97
"""The dose asked of a mean moves by at most this share of the limit a round, and never below this share of it."""
HELPER_RELAX = 0.7
"""Helpers without a goal weigh this much less after each round that misses one."""
GIVEN_UP_ROOM, GIVEN_UP_WEIGHT = 1.05, 0.25
"""A goal that is given up asks for this multiple of what was reached then, with this share of its first weight (chosen:
enough to cost no more than it must; without any weight a parotid gland rose by 8 Gy where 1 Gy was needed)."""
RELEASE_FROM = 0.004
"""Goals met with more room than this are released."""


def shortfall(goal: ClinicalGoal, value: float) -> float:
    """Relative miss of a goal: positive where it is missed, negative where it is met; 0 for an absent structure."""
    if math.isnan(value):
        return 0.0
    scale = max(abs(goal.limit), 1e-6)
    difference = value - goal.limit if goal.comparator is Comparator.AT_MOST else goal.limit - value
    return difference / scale


def hot_limit_gy(goal_set: GoalSet) -> float:
    """What the goal set lets the hottest 0.1 cc have."""
    return max(dose for _, dose in goal_set.prescription) * goal_set.hot_spot_percent / 100


def hot_shortfall(goal_set: GoalSet, hottest_gy: float) -> float:
    """Relative excess of the hottest 0.1 cc over the goal set's limit; negative where it is kept."""
    return hottest_gy / hot_limit_gy(goal_set) - 1


@dataclass(frozen=True)
class Rules:
    """The habits for one case. first: the objectives that planning began with, against which weights are bounded.
    given_up: goals that are no longer pushed."""

    goal_set: GoalSet
    first: Objectives
    given_up: frozenset[int] = frozenset()

    yielded: Objectives = ()
    """What is asked of the goals given up."""

    foreseen: frozenset[int] = frozenset()
    """Goals that a prediction calls out of reach: given up as soon as a calculated dose misses them and they stand
    against others, not only after rounds of pushing."""

    easy: Mapping[int, float] = field(default_factory=dict)
    """Down to which value, by a prediction, a goal of an organ may fall without a struggle, by its number."""

    def giving_up(self, goal: int, value: float) -> Rules:
        """From now on little is asked of that goal, whose value is known."""
        wanted = self.goal_set.goals[goal]
        less = tuple(_less(o, wanted, value) for o in self.first if o.goal == goal)
        return replace(self, given_up=self.given_up | {goal}, yielded=(*self.yielded, *less))

    def taking_back(self, values: tuple[float, ...], room: float) -> Rules:
        """Asks again in full for goals given up because of a prediction that are within so little (relative) of met."""
        near = {i for i in self.given_up & self.foreseen if shortfall(self.goal_set.goals[i], values[i]) <= room}
        kept = tuple(o for o in self.yielded if o.goal not in near)
        return replace(self, given_up=self.given_up - near, yielded=kept)

    def afresh(self) -> Objectives:
        """First weights again."""
        return tuple(self._yielded(first) if first.goal in self.given_up else first for first in self.first)

    def _yielded(self, first: Objective) -> Objective:
        return next(o for o in self.yielded if (o.goal, o.kind) == (first.goal, first.kind))

    def adjust(
        self, objectives: Objectives, values: tuple[float, ...], hottest_gy: float, *, room: float
    ) -> Objectives:
        """The next list, given each goal's present value and the hottest 0.1 cc; goals are wanted with `room`."""
        hot = hot_shortfall(self.goal_set, hottest_gy) + room
        goals = zip(self.goal_set.goals, values, strict=True)
        conflict = hot > 0 or any(
            shortfall(goal, value) + room > 0 for i, (goal, value) in enumerate(goals) if i not in self.given_up
        )
        changed = []
        for objective, first in zip(objectives, self.first, strict=True):
            if objective.goal in self.given_up:
                changed.append(self._yielded(first))
            elif objective.goal >= 0:
                goal = self.goal_set.goals[objective.goal]
                changed.append(_push(objective, first, goal, shortfall(goal, values[objective.goal]) + room))
            elif objective.hot_spot:
                changed.append(_weigh(objective, first, hot, lightest=1.0))
            else:
                changed.append(_relax(objective, first, conflict=conflict))
        return tuple(changed)


def _less(first: Objective, goal: ClinicalGoal, value: float) -> Objective:
    """What was reached and a little more, with little weight: the dose of a goal in Gy, the volume of one in percent;
    of one in cc only the weight changes, because objectives speak in percent of what the planner samples."""
    weight = first.weight * GIVEN_UP_WEIGHT
    if goal.unit == "Gy":
        return replace(first, dose_gy=max(first.dose_gy, value * GIVEN_UP_ROOM), weight=weight)
    if goal.unit == "%" and first.kind is ObjectiveKind.DVH_MAX:
        hot = 100.0 - value if goal.metric.kind is MetricKind.COLD_VOLUME else value
        volume = min(max(first.volume_percent, hot * GIVEN_UP_ROOM), 100.0)
        return replace(first, volume_percent=volume, weight=weight)
    return replace(first, weight=weight)


def _relax(objective: Objective, first: Objective, *, conflict: bool) -> Objective:
    """Helpers such as uniformity and fall-off give way while a goal is missed, and come back when none is."""
    factor = HELPER_RELAX if conflict else 1 / HELPER_RELAX
    return replace(objective, weight=min(max(objective.weight * factor, first.weight * LIGHTEST), first.weight))


def _push(objective: Objective, first: Objective, goal: ClinicalGoal, need: float) -> Objective:
    if objective.kind is not ObjectiveKind.MEAN_DOSE:
        return _weigh(objective, first, need)
    shift = goal.limit * min(max(need, -LARGEST_SHIFT), LARGEST_SHIFT)
    # What exploring found to ask of it, tighter or less tight than its goal, stays within reach.
    lowest, highest = min(goal.limit * LOWEST_MEAN, first.dose_gy), max(goal.limit, first.dose_gy)
    dose_gy = min(max(objective.dose_gy - shift, lowest), highest)
    grown = min(objective.weight * MEAN_PUSH, first.weight * MEAN_HEAVIEST) if need > 0 else objective.weight
    return replace(objective, dose_gy=dose_gy, weight=grown)


def _weigh(objective: Objective, first: Objective, need: float, *, lightest: float = LIGHTEST) -> Objective:
    if need > 0:
        factor = min(1 + PUSH_PER_MISS * need, LARGEST_PUSH)
    elif need < -RELEASE_FROM:
        factor = max(1 + PUSH_PER_MISS / 3 * need, SMALLEST_RELEASE)
    else:
        return objective
    weight = min(max(objective.weight * factor, first.weight * lightest), first.weight * HEAVIEST)
    return replace(objective, weight=weight)
