"""The smallest change of one other goal's limit under which a missed goal passes, by re-optimising."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from appliance.contracts import ClinicalGoal, Comparator, GoalSet
from appliance.contracts.explanation import Reached, Reoptimiser

MOST_GIVERS = 3
"""Other goals tried for one goal (chosen: what gradients oppose most strongly is rarely more)."""
COVERAGE_GIVES, ORGAN_GIVES = 0.20, 0.25
"""Furthest that a limit is moved, relative: of goals that demand dose, and of upper limits (chosen: beyond, a plan is
another plan)."""
HALVINGS = 4
"""Halvings of the interval: a sixteenth of the furthest move is the resolution."""
FIRST_STEP, FIRST_HALVINGS = 0.05, 2
"""Part of the furthest move that is tried first, and halvings of it where that is enough: 1 % of a coverage, found to a
quarter of that."""
LOSS = 0.005
"""A goal that the plan misses may get worse by this share of its limit while another is explained (chosen: what two
runs of the optimiser differ by)."""
MORE = 0.005
"""The explained goal is asked for with this room (relative), and judged by its own limit: penalties end a little short
of what they ask (chosen)."""
MOST_SOLVES = 20
"""Re-optimisations for one goal."""


class OutOfTime(Exception):
    """The budget of time or solves has ended."""


@dataclass
class Solver:
    """Counts solves of one goal and keeps to the deadline (time.monotonic). plan_values: of every goal in the
    plan as judged. base: what is reached with every goal as it is."""

    reoptimise: Reoptimiser
    goal_set: GoalSet
    goal: int
    deadline: float
    tell: Callable[[int], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    solves: int = 0
    longest_s: float = 0.0
    plan_values: tuple[float, ...] = ()
    base: Reached = field(default_factory=lambda: Reached((), math.nan, 0))

    def __call__(
        self,
        goal_set: GoalSet | None = None,
        *,
        ignored: frozenset[int] = frozenset(),
        steady: bool = False,
        from_scratch: bool = False,
    ) -> Reached:
        """steady: the goal takes what the others leave; otherwise it is pressed, and the others may suffer. Raises
        OutOfTime where another solve like those before would not end in time."""
        own, begin = frozenset({self.goal}), self.clock()
        if self.solves >= MOST_SOLVES or begin + self.longest_s > self.deadline:
            raise OutOfTime
        asked = goal_set or self.goal_set
        reached = self.reoptimise(
            asked if steady else self._a_little_more(asked),
            ignored=ignored,
            steady=own if steady else frozenset(),
            pressed=frozenset() if steady else own,
            from_scratch=from_scratch,
        )
        self.solves += 1
        self.longest_s = max(self.longest_s, self.clock() - begin)
        self.tell(self.solves)
        return reached

    def _a_little_more(self, goal_set: GoalSet) -> GoalSet:
        goal = goal_set.goals[self.goal]
        factor = 1 - MORE if goal.comparator is Comparator.AT_MOST else 1 + MORE
        return with_limit(goal_set, self.goal, goal.limit * factor)


@dataclass(frozen=True)
class Tried:
    """One giver. limit: the smallest change found with which the goal passes, verified from scratch with `value`;
    None where even the furthest limit does not do, and `value` is what that one reached. slope: gain of the goal for
    each unit given, from its own limit to `furthest`: the weakest tried, or the one that suffices."""

    giver: int
    furthest: float
    limit: float | None
    value: float
    slope: float
    from_scratch: bool


def givers(goal_set: GoalSet, goal: int, base: Reached) -> tuple[int, ...]:
    """Numbers of the goals to try: what opposes in the gradient first, then goals that demand dose, then the least
    important limits."""
    opposed = [number for found in base.conflicts if found.goal == goal for number in found.goals]

    def rank(number: int) -> tuple[bool, int]:
        return goal_set.goals[number].comparator is Comparator.AT_MOST, -goal_set.goals[number].priority

    others = sorted((i for i in range(len(goal_set.goals)) if i != goal and not math.isnan(base.values[i])), key=rank)
    return tuple(dict.fromkeys([*(i for i in opposed if i != goal), *others]))[:MOST_GIVERS]


def furthest(goal: ClinicalGoal) -> float:
    """The weakest limit that is tried. Percent stay within 0 and 100."""
    if goal.comparator is Comparator.AT_LEAST:
        return goal.limit * (1 - COVERAGE_GIVES)
    weaker = goal.limit * (1 + ORGAN_GIVES)
    return min(weaker, 100.0) if goal.unit == "%" else weaker


def with_limit(goal_set: GoalSet, number: int, limit: float) -> GoalSet:
    goals = list(goal_set.goals)
    goals[number] = replace(goals[number], limit=limit)
    return replace(goal_set, goals=tuple(goals))


def passes(goal_set: GoalSet, goal: int, reached: Reached, plan_values: tuple[float, ...]) -> bool:
    """The goal is met, no goal is missed that the plan meets, and none that it misses gets worse. `goal_set` has the
    new limits."""
    for number, (one, value) in enumerate(zip(goal_set.goals, reached.values, strict=True)):
        if math.isnan(value) or one.met_by(value):
            continue
        before = plan_values[number]
        worse = value - before if one.comparator is Comparator.AT_MOST else before - value
        if number == goal or one.met_by(before) or worse > LOSS * abs(one.limit):
            return False
    return True


def others_kept(goal_set: GoalSet, goal: int, reached: Reached, plan_values: tuple[float, ...]) -> bool:
    """All other goals are met to LOSS, or no worse than in the plan: the goal's value was not bought with them."""
    for number, (one, value, before) in enumerate(zip(goal_set.goals, reached.values, plan_values, strict=True)):
        if number == goal or math.isnan(value):
            continue
        is_most, slack = one.comparator is Comparator.AT_MOST, LOSS * abs(one.limit)
        bound = max(one.limit, before) + slack if is_most else min(one.limit, before) - slack
        if value > bound if is_most else value < bound:
            return False
    return True


def try_giver(solve: Solver, giver: int) -> Tried:
    """Raises OutOfTime."""
    goal_set, goal = solve.goal_set, solve.goal
    own, start, end = goal_set.goals[giver], goal_set.goals[giver].limit, furthest(goal_set.goals[giver])

    def at(share: float) -> GoalSet:
        return with_limit(goal_set, giver, _rounded(start + share * (end - start), own))

    def suffices(share: float) -> bool:
        return passes(at(share), goal, solve(at(share)), solve.plan_values)

    if (known := _as_reached(solve, giver)) is not None and (found := _from_scratch(solve, giver, [known])) is not None:
        return found
    low, high, halvings = 0.0, FIRST_STEP, FIRST_HALVINGS
    if not suffices(FIRST_STEP):
        low, high, halvings = FIRST_STEP, 1.0, HALVINGS
        reached = solve(at(1.0))
        if not passes(at(1.0), goal, reached, solve.plan_values):
            slope = _gain(goal_set.goals[goal], solve.base, reached, goal) / abs(end - start)
            return Tried(giver, end, None, reached.values[goal], slope, from_scratch=False)
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    shares = (high, min(1.0, 2 * high - low), min(1.0, high + FIRST_STEP), 1.0)
    found = _from_scratch(solve, giver, [at(share) for share in shares])
    return found or Tried(giver, end, None, solve.base.values[goal], 0.0, from_scratch=True)


def _as_reached(solve: Solver, giver: int) -> GoalSet | None:
    """What the fluence that is known already shows to be enough: the giver's limit where it stands, if nothing else is
    missed there."""
    goal_set, own = solve.goal_set, solve.goal_set.goals[giver]
    value, end = solve.base.values[giver], furthest(own)
    within = value > end if own.comparator is Comparator.AT_LEAST else value < end
    if own.met_by(value) or not within:
        return None
    asked = with_limit(goal_set, giver, _rounded(value, own))
    return asked if passes(asked, solve.goal, solve.base, solve.plan_values) else None


def _from_scratch(solve: Solver, giver: int, tried: Sequence[GoalSet]) -> Tried | None:
    """The first of the limits with which the goal passes from open fields: a fluence that was led there may be better
    than one found afresh, and only the latter counts. Raises OutOfTime."""
    goal, start = solve.goal_set.goals[solve.goal], solve.goal_set.goals[giver].limit
    for asked in tried:
        again = solve(asked, from_scratch=True)
        if passes(asked, solve.goal, again, solve.plan_values):
            limit = asked.goals[giver].limit
            # Beyond the limit that suffices the goal gains nothing more: the slope is that up to there.
            slope = _gain(goal, solve.base, again, solve.goal) / abs(limit - start)
            return Tried(giver, limit, limit, again.values[solve.goal], slope, from_scratch=True)
    return None


def _rounded(limit: float, goal: ClinicalGoal) -> float:
    """To a tenth, towards the weaker side: what is said is what was asked."""
    tenths = limit * 10
    return (math.floor(tenths + 1e-9) if goal.comparator is Comparator.AT_LEAST else math.ceil(tenths - 1e-9)) / 10


def _gain(goal: ClinicalGoal, before: Reached, after: Reached, number: int) -> float:
    change = after.values[number] - before.values[number]
    return -change if goal.comparator is Comparator.AT_MOST else change
