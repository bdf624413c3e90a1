"""Which goal to give up where not all can be had: the one that most holds a more important one.

Coverage of targets is never given up. A goal that is given up stays a wish: its objective asks for what was reached
and a little more, and the sparing stage still lowers it where that costs nothing."""

from __future__ import annotations

import math

from appliance.contracts import GoalConflict, GoalSet
from appliance.execution.rules import shortfall


def goal_to_give_up(
    goal_set: GoalSet,
    values: tuple[float, ...],
    conflicts: tuple[GoalConflict, ...],
    *,
    given_up: frozenset[int],
    among: frozenset[int] | None = None,
    room: float = 0.0,
) -> int | None:
    """Number of an upper limit that stands against a missed goal of higher priority; the most important missed goal
    decides, of equal ones the one furthest from its limit. Where there is none, of upper limits of one priority that
    are missed together the one furthest from its limit, if it stands against another. None where nothing helps.
    among: only these may be given up; None: any."""
    goals = goal_set.goals
    missed = {i: shortfall(goal, v) for i, (goal, v) in enumerate(zip(goals, values, strict=True)) if not math.isnan(v)}
    missed = {i: by for i, by in missed.items() if by + room > 0 and i not in given_up}
    against = {found.goal: found.goals for found in conflicts}

    def may(number: int) -> bool:
        return goals[number].caps_dose and number not in given_up and (among is None or number in among)

    for number in sorted(missed, key=lambda i: (goals[i].priority, -missed[i])):
        for opponent in against.get(number, ()):
            if may(opponent) and goals[opponent].priority > goals[number].priority:
                return opponent
    for number in sorted(missed, key=lambda i: (-goals[i].priority, -missed[i])):
        equals = [i for i in missed if i != number and goals[i].priority <= goals[number].priority]
        if may(number) and any(number in against.get(i, ()) for i in equals):
            return number
    return None
