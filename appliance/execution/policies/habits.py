"""What a planner wants next, from what is to be seen: changes of objectives, the most wanted first.

1. Coverage and the hot spot first, and then goals in the order of their priority: what is less important waits while
   something more important is missed (prioritised planning: Wilkens et al., Phys Med Biol 52:1675, 2007; Jee, McShan
   and Fraass, Phys Med Biol 52:1845, 2007).
2. What is missed is pushed: its weight is raised, or, for a small miss, a little more is asked than the goal wants
   (the loop of trial and correction that rule-based planners automate: Huang et al., J Appl Clin Med Phys 21(5):13,
   2020; human rules as demonstrations: Shen et al., Med Phys 48:1909, 2021).
3. What is met with room is asked for less, first of all where something more important is missed: it gives way.
4. Once goals are met an organ is asked for less than it has, one priority after the other, for as long as nothing is
   lost (the second phase of Breedveld et al., Phys Med Biol 52:6339, 2007): asking for what is reached already changes
   nothing.
5. A goal of an organ so far out of reach that nothing is earned by coming nearer gives way at once to what is missed
   above it.

The order within a priority, rule 5 and all numbers are our own (chosen on ten training patients of OpenKBP). What is
only offered, rings and organs outside the targets, is never added: docs/planner.md says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from appliance.contracts import ClinicalGoal
from appliance.execution.rules import hot_shortfall, shortfall
from appliance.execution.score import is_organ
from appliance.execution.steering.changes import Change, Lever, Position, is_legal
from appliance.execution.steering.policy import View

NEAR = 0.003
"""A goal that more than this (relative) is missing from is pushed by weight; less, by asking for a little more."""
PUSHED = 8.0
"""Weights are raised to this multiple at most (chosen: further the merit becomes stiff and every goal worse)."""
ENOUGH = 0.25
"""Room that nobody gains from exceeding: the scorecard gives an organ nothing for lying more than a quarter below its
limit."""
HOPELESS, LEAST = 0.10, 0.2
"""An organ's goal missed by more than a tenth earns nothing on the scorecard. Its weight then goes down to an eighth
where something more important is missed, and is raised again only when there is nothing else to do."""
SLIGHT = 0.01
"""Organs are spared while coverage and the hot spot, missed by less than this, are still being pushed."""
PULL, FOLLOWED = 0.005, 0.03
"""An organ that lies this share of its limit above what is asked of it is being pulled at; one that lies more than
FOLLOWED above it does not follow."""


class Kind(IntEnum):
    """Why a change is wanted, the most urgent first."""

    MISSED = 0
    SPARING = 1
    OUT_OF_REACH = 2
    GIVING_WAY = 3


@dataclass(frozen=True)
class Wish:
    """One change that is wanted. lever: its number. kind, priority: of one pair wishes may be tried together. gain:
    within them the more, the sooner."""

    lever: int
    change: Change
    kind: Kind
    priority: int
    gain: float

    @property
    def together(self) -> tuple[Kind, int]:
        return self.kind, self.priority


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
    def told(self) -> tuple[str, ...]:
        """The goals in words, the hot-spot limit last."""
        return (*(str(goal) for goal in self.view.goal_set.goals), "the hot-spot limit")

    @property
    def all_missed(self) -> tuple[float, ...]:
        return (*self.missed, self.hot)

    def first_missed(self, slight: float = 0.0) -> int:
        """Priority of the most important goal that is missed; of coverage and the hot spot 0, where they are missed by
        more than `slight`; 99 where none is."""
        goals = list(zip(self.view.goal_set.goals, self.missed, strict=True))
        organs = [goal.priority for goal, by in goals if by > 0 and is_organ(self.view.goal_set, goal)]
        targets = [by for goal, by in goals if not is_organ(self.view.goal_set, goal)]
        return 0 if max([*targets, self.hot]) > slight else min([*organs, 99])


def pushes(seen: Seen) -> list[Wish]:
    """What is done at once: coverage of targets and the hot-spot limit are pushed, and organs' goals far out of reach
    give way to what is missed above them."""
    wanted = []
    for number, (lever, position) in enumerate(zip(seen.view.levers, seen.view.setting, strict=True)):
        if lever.first.hot_spot and seen.hot > 0:
            wanted.append(Wish(number, Change.RAISE, Kind.MISSED, 0, seen.hot))
        if lever.of_target and seen.is_there(lever) and seen.missed[lever.goal] > 0:
            missed = seen.missed[lever.goal]
            wanted.append(Wish(number, _push(lever, position, missed), Kind.MISSED, 0, missed))
        if seen.is_there(lever) and not lever.of_target and seen.missed[lever.goal] > HOPELESS:
            priority = seen.goal(lever).priority
            if priority > seen.first_missed() and position.weight > LEAST:
                wanted.append(Wish(number, Change.LOWER, Kind.GIVING_WAY, -priority, 0.0))
    return _possible(seen.view, wanted)


def trials(seen: Seen) -> list[Wish]:
    """What is worth trying of organs. Missed goals are pushed and met ones asked for less, both only while nothing of a
    higher priority is missed; what pulls below the priority that is missed gives way."""
    wanted, first, pressing = [], seen.first_missed(), seen.first_missed(SLIGHT)
    for number, (lever, position) in enumerate(zip(seen.view.levers, seen.view.setting, strict=True)):
        if not seen.is_there(lever) or lever.of_target:
            continue
        priority, missed = seen.goal(lever).priority, seen.missed[lever.goal]
        if missed > 0 and priority <= first:
            kind = Kind.OUT_OF_REACH if missed > HOPELESS and position.weight < 1 else Kind.MISSED
            wanted.append(Wish(number, _push(lever, position, missed), kind, priority, missed))
        elif -ENOUGH < missed <= 0 and priority < pressing:
            wanted.append(Wish(number, _spare(lever, position, seen), Kind.SPARING, priority, missed))
        elif priority > first and (pull := _pull(lever, position, seen)) > PULL:
            change = Change.RELAX if position.ask < 1 else Change.LOWER
            wanted.append(Wish(number, change, Kind.GIVING_WAY, -priority, pull))
    return _possible(seen.view, wanted)


def _push(lever: Lever, position: Position, missed: float) -> Change:
    """KEEP where all that may be is done."""
    if position.weight < PUSHED and (missed > NEAR or not is_legal(lever, position, Change.TIGHTEN)):
        return Change.RAISE
    return Change.TIGHTEN if is_legal(lever, position, Change.TIGHTEN) else Change.KEEP


def _spare(lever: Lever, position: Position, seen: Seen) -> Change:
    """Asks for less; raises the weight where less is asked already and not followed."""
    if _pull(lever, position, seen) < FOLLOWED and is_legal(lever, position, Change.TIGHTEN):
        return Change.TIGHTEN
    return Change.RAISE if position.weight < PUSHED else Change.KEEP


def _pull(lever: Lever, position: Position, seen: Seen) -> float:
    """How far what an organ has lies above what is asked of it, as a share of its limit; what is first asked is nearly
    the limit."""
    return seen.missed[lever.goal] + 1 - position.ask


def _possible(view: View, wanted: list[Wish]) -> list[Wish]:
    legal = [
        wish
        for wish in wanted
        if wish.change is not Change.KEEP and is_legal(view.levers[wish.lever], view.setting[wish.lever], wish.change)
    ]
    return sorted(legal, key=lambda wish: (*wish.together, -wish.gain, wish.lever))
