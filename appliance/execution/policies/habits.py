"""What a planner wants next, from what is to be seen: changes of objectives, the most wanted first.

1. Coverage and the hot spot first, and then goals in the order of their priority: what is less important waits while
   something more important is missed (prioritised planning: Wilkens et al., Phys Med Biol 52:1675, 2007; Jee, McShan and
   Fraass, Phys Med Biol 52:1845, 2007).
2. What is missed is pushed: its weight is raised, or, for a small miss, a little more is asked than the goal wants
   (the loop of trial and correction that rule-based planners automate: Huang et al., J Appl Clin Med Phys 21(5):13,
   2020; human rules as demonstrations: Shen et al., Med Phys 48:1909, 2021).
3. What is met with room is asked for less, first of all where something more important is missed: it gives way.
4. Once goals are met an organ is asked for less than it has, for as long as nothing is lost (the second phase of
   Breedveld et al., Phys Med Biol 52:6339, 2007): asking for what is reached already changes nothing.

The order within a priority, and all numbers, are our own (chosen on training patients of OpenKBP: docs/planner.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from appliance.contracts import ClinicalGoal
from appliance.execution.rules import hot_shortfall, shortfall
from appliance.execution.score import PRIORITY_POINTS, is_organ
from appliance.execution.steering.changes import Change, Lever, Position, is_legal
from appliance.execution.steering.policy import View

NEAR = 0.003
"""A goal that more than this (relative) is missing from is pushed by weight; less, by asking for a little more."""
PUSHED = 8.0
"""Weights are raised to this multiple at most (chosen: further the merit becomes stiff and every goal worse)."""
ENOUGH = 0.25
"""Room that nobody gains from exceeding: the scorecard gives an organ nothing for more than a quarter below its limit."""
PULL = 0.02
"""An organ whose dose is this share of the limit above what is asked of it is being pulled at."""


@dataclass(frozen=True)
class Wish:
    """One change that is wanted. lever: its number. worth: points of the goal for each percent that it could gain, the
    order in which wishes are tried."""

    lever: int
    change: Change
    worth: float


@dataclass(frozen=True)
class Seen:
    """A view with what a planner reads from it at once. missed: by goal, relative, negative where met; hot: the same of
    the hot-spot limit."""

    view: View
    missed: tuple[float, ...]
    hot: float

    @staticmethod
    def of(view: View) -> Seen:
        goals = zip(view.goal_set.goals, view.state.goal_values, strict=True)
        return Seen(
            view, tuple(shortfall(goal, v) for goal, v in goals), hot_shortfall(view.goal_set, view.state.hottest_gy)
        )

    def goal(self, lever: Lever) -> ClinicalGoal:
        return self.view.goal_set.goals[lever.goal]

    def is_there(self, lever: Lever) -> bool:
        """Whether the lever is of a goal that could be judged."""
        return lever.goal >= 0 and not math.isnan(self.view.state.goal_values[lever.goal])

    @property
    def first_missed(self) -> int:
        """Priority of the most important goal that is missed; of coverage and the hot spot 0; 99 where none is."""
        goals = zip(self.view.goal_set.goals, self.missed, strict=True)
        found = [0 if not is_organ(self.view.goal_set, goal) else goal.priority for goal, by in goals if by > 0]
        return min([*found, 0 if self.hot > 0 else 99])


def pushes(seen: Seen) -> list[Wish]:
    """What is done at once: coverage of targets and the hot-spot limit."""
    wanted = []
    for number, (lever, position) in enumerate(zip(seen.view.levers, seen.view.setting, strict=True)):
        if lever.first.hot_spot and seen.hot > 0:
            wanted.append(Wish(number, Change.RAISE, 100 * seen.hot))
        if lever.of_target and seen.is_there(lever) and seen.missed[lever.goal] > 0:
            change = _push(lever, position, seen.missed[lever.goal])
            wanted.append(Wish(number, change, 100 * seen.missed[lever.goal] * _points(seen.goal(lever))))
    return _possible(seen.view, wanted)


def trials(seen: Seen) -> list[Wish]:
    """What is worth trying of organs: missed goals of the priority that is missed first; where none is, less dose."""
    wanted = []
    for number, (lever, position) in enumerate(zip(seen.view.levers, seen.view.setting, strict=True)):
        if not seen.is_there(lever) or lever.of_target:
            continue
        goal, missed = seen.goal(lever), seen.missed[lever.goal]
        if missed > 0 and goal.priority <= seen.first_missed:
            wanted.append(Wish(number, _push(lever, position, missed), _points(goal)))
        elif -ENOUGH < missed <= 0 and seen.first_missed > goal.priority:
            wanted.append(Wish(number, _spare(lever, position, seen), 0.1 * _points(goal) * (1 + missed)))
    return _possible(seen.view, wanted)


def concessions(seen: Seen) -> list[Wish]:
    """What may give way to the most important goal that is missed: organs' objectives of lower priority that pull, the
    least important first."""
    wanted = []
    for number, (lever, position) in enumerate(zip(seen.view.levers, seen.view.setting, strict=True)):
        if not seen.is_there(lever) or lever.of_target or _pull(lever, position, seen) < PULL:
            continue
        if (goal := seen.goal(lever)).priority > seen.first_missed:
            change = Change.RELAX if position.ask < 1 else Change.LOWER
            wanted.append(Wish(number, change, 1 / _points(goal)))
    return _possible(seen.view, wanted)


def _push(lever: Lever, position: Position, missed: float) -> Change:
    small = missed <= NEAR or position.weight >= PUSHED
    return Change.TIGHTEN if small and is_legal(lever, position, Change.TIGHTEN) else Change.RAISE


def _spare(lever: Lever, position: Position, seen: Seen) -> Change:
    """Asks for less; raises the weight where less is asked already and not followed."""
    followed = _pull(lever, position, seen) < 2 * PULL
    return Change.TIGHTEN if followed and is_legal(lever, position, Change.TIGHTEN) else Change.RAISE


def _pull(lever: Lever, position: Position, seen: Seen) -> float:
    """How far what an organ has lies above what is asked of it, as a share of its limit."""
    goal, value = seen.goal(lever), seen.view.state.goal_values[lever.goal]
    if lever.by_volume:
        return (value - lever.first.volume_percent * position.ask) / max(abs(goal.limit), 1e-6)
    asked = lever.first.dose_gy * position.ask
    limit = goal.limit if goal.unit == "Gy" else lever.first.dose_gy
    reached = value if goal.unit == "Gy" else asked
    return (reached - asked) / max(limit, 1e-6)


def _points(goal: ClinicalGoal) -> float:
    return PRIORITY_POINTS.get(goal.priority, PRIORITY_POINTS[3])


def _possible(view: View, wanted: list[Wish]) -> list[Wish]:
    legal = [w for w in wanted if is_legal(view.levers[w.lever], view.setting[w.lever], w.change)]
    return sorted(legal, key=lambda wish: (-wish.worth, wish.lever))
