"""Objectives of the plans that trade-offs are read from: which goals are favoured, and what the others may give."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from appliance.contracts import (
    ClinicalGoal,
    Comparator,
    GoalSet,
    MetricKind,
    Objective,
    ObjectiveKind,
    Objectives,
    PlanningState,
)
from appliance.execution.rules import hot_shortfall, shortfall
from appliance.execution.score import is_organ

MOST_FAVOURED = 8
"""Plans at most beside the middle one (chosen: Craft, Phys Med 26:184, 2010, found that as many plans as there are
objectives, or few more, span a Pareto surface of up to five objectives well)."""
LESS, MORE = 0.20, 0.015
"""A favoured organ is asked for this share less than it has, a favoured coverage for this share more than the greater
of what it has and its goal (chosen: further than most wishes go, near enough that the way there is nearly straight)."""
PRESS = 4.0
"""Weight of what is favoured, as a multiple of its first."""
GIVE = 0.10
"""What goals that are missed or less important may lose, as a share of what they have, beside their room (chosen: about
what a physician would still discuss). Others only what room they have: an answer must not lose them unasked."""
HOLD = 0.1
"""Weight with which they are still asked for what they have: nothing shall be given that gains nothing (chosen)."""
LOST, FIRMER, HOT = 0.005, 4.0, -1
"""Coverage and the hot-spot limit count as lost if they are missed by this share of their limit more than in the
middle; their weight then grows by this (chosen). HOT: the number that stands for the hot-spot limit."""
GIVEN = 0.002
"""What a firm goal of an organ may give beyond its room, as a share of its limit."""
TIGHT = 0.01
"""A goal of a target counts as worth favouring if it is missed, or met with less room than this."""


def holding(first: Objectives, goal_set: GoalSet, values: Sequence[float]) -> Objectives:
    """Objectives of the middle: every organ as low as it is in the plan, targets as the goals want them."""
    return tuple(
        _asking(o, goal_set.goals[o.goal], values[o.goal]) if _of_organ(goal_set, o, values) else o for o in first
    )


def worth_favouring(goal_set: GoalSet, values: Sequence[float], missed_for: Sequence[str] = ()) -> tuple[int, ...]:
    """Numbers of the goals that are worth a plan of their own, in this order and at most MOST_FAVOURED: what is missed
    first, by priority and by how much; then what planning named as standing against something missed; then by how tight
    it is."""
    ranked = []
    for number, (goal, value) in enumerate(zip(goal_set.goals, values, strict=True)):
        if math.isnan(value):
            continue
        by = shortfall(goal, value)
        if not is_organ(goal_set, goal) and by < -TIGHT:
            continue
        if is_organ(goal_set, goal) and value <= 0:
            continue
        ranked.append((by <= 0, goal.priority if by > 0 else 0, str(goal) not in missed_for, -by, number))
    return tuple(entry[-1] for entry in sorted(ranked)[:MOST_FAVOURED])


@dataclass(frozen=True)
class Favouring:
    """What the plans around a middle are asked for. first: the objectives that it was made with, before organs were
    held where they are. plan_values: of the deliverable plan, which say what room each goal has."""

    first: Objectives
    goal_set: GoalSet
    middle: PlanningState
    plan_values: tuple[float, ...]

    def of(self, favoured: int) -> Objectives:
        """One goal asked for more, and heavier; other organs may give within their limits; coverage, uniformity and
        the hot-spot limit stay as they are."""
        return tuple(self._each(favoured))

    def _each(self, favoured: int) -> Iterator[Objective]:
        goals, values = self.goal_set.goals, self.middle.goal_values
        for objective in self.first:
            if objective.goal == favoured:
                yield _asking(objective, goals[favoured], self._more(favoured)).scaled(PRESS)
            elif _of_organ(self.goal_set, objective, values):
                goal = goals[objective.goal]
                yield _asking(objective, goal, self._allowed(objective.goal, favoured))
                yield replace(_asking(objective, goal, values[objective.goal]).scaled(HOLD), goal=-1)
            else:
                yield objective

    def _more(self, favoured: int) -> float:
        goal, value = self.goal_set.goals[favoured], self.middle.goal_values[favoured]
        by = LESS if is_organ(self.goal_set, goal) else MORE
        if goal.comparator is Comparator.AT_MOST:
            return min(value, goal.limit) * (1 - by)
        return max(value, goal.limit) * (1 + by)

    def _allowed(self, number: int, favoured: int) -> float:
        """What a goal may come to in favour of another: as much worse as the plan has room to its limit. Where it is
        missed or less important, GIVE of what it has more."""
        goal, value, now = self.goal_set.goals[number], self.middle.goal_values[number], self.plan_values[number]
        give = 0.0 if self._is_firm(number, favoured) else GIVE * abs(value)
        spare = max(-shortfall(goal, now), 0.0) * abs(goal.limit) + give
        return value + spare if goal.comparator is Comparator.AT_MOST else max(value - spare, 0.0)

    def _is_firm(self, number: int, favoured: int) -> bool:
        """Met, and as important as what is favoured, or that is met already: an answer will not lose it unasked."""
        goal, other = self.goal_set.goals[number], self.goal_set.goals[favoured]
        is_ahead = other.met_by(self.plan_values[favoured]) or goal.priority <= other.priority
        return number != favoured and goal.met_by(self.plan_values[number]) and is_ahead

    def broken(self, state: PlanningState, favoured: int) -> frozenset[int]:
        """Goals of organs that gave more than they have room for, though they are firm."""
        goals, values = self.goal_set.goals, state.goal_values
        return frozenset(
            number
            for number, goal in enumerate(goals)
            if goal.caps_dose and self._is_firm(number, favoured)
            and shortfall(goal, values[number]) > shortfall(goal, self._allowed(number, favoured)) + GIVEN
        )  # fmt: skip

    def lost(self, state: PlanningState) -> frozenset[int]:
        """What a plan lost that no favour may cost: numbers of coverage goals, HOT for the hot-spot limit."""
        pairs = zip(self.goal_set.goals, self.middle.goal_values, state.goal_values, strict=True)
        lost = {
            number
            for number, (goal, before, after) in enumerate(pairs)
            if not goal.caps_dose and shortfall(goal, after) > max(shortfall(goal, before), 0.0) + LOST
        }
        before, after = (hot_shortfall(self.goal_set, one.hottest_gy) for one in (self.middle, state))
        return frozenset(lost | ({HOT} if after > max(before, 0.0) + LOST else set()))

    def firmer(
        self, asked: Objectives, favoured: int, lost: frozenset[int], broken: frozenset[int] = frozenset()
    ) -> Objectives:
        """The same with FIRMER times the weight on what was lost or broken; where something was lost, of the favoured
        goal half as much is asked, half as heavily."""
        goal, value = self.goal_set.goals[favoured], self.middle.goal_values[favoured]
        changed = []
        for objective in asked:
            if objective.goal == favoured and lost:
                less = replace(objective, dose_gy=(objective.dose_gy + value) / 2) if goal.unit == "Gy" else objective
                changed.append(less.scaled(0.5))
            elif (objective.goal >= 0 and objective.goal in lost | broken) or (objective.hot_spot and HOT in lost):
                changed.append(objective.scaled(FIRMER))
            else:
                changed.append(objective)
        return tuple(changed)


def _of_organ(goal_set: GoalSet, objective: Objective, values: Sequence[float]) -> bool:
    if objective.goal < 0 or math.isnan(values[objective.goal]):
        return False
    return is_organ(goal_set, goal_set.goals[objective.goal])


def _asking(first: Objective, goal: ClinicalGoal, value: float) -> Objective:
    """The objective of a goal asking for so much in the goal's unit. A goal in cc keeps what it asks: objectives speak
    in percent of what the planner samples."""
    if goal.unit == "Gy":
        return replace(first, dose_gy=max(value, 0.0))
    if goal.unit == "%" and first.kind in (ObjectiveKind.DVH_MAX, ObjectiveKind.DVH_MIN):
        share = 100.0 - value if goal.metric.kind is MetricKind.COLD_VOLUME else value
        return replace(first, volume_percent=min(max(share, 0.0), 100.0))
    return first
