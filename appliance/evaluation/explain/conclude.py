"""What is claimed in the end: the smallest change that worked, or why none, and what a whole plan made of it."""

from __future__ import annotations

import math
from dataclasses import replace

from appliance.contracts import Comparator, GoalSet
from appliance.contracts.explanation import Change, Explanation, Replan
from appliance.contracts.progress import Progress
from appliance.evaluation.explain import words
from appliance.evaluation.explain.search import Tried, with_limit


def concluded(
    goal_set: GoalSet, found: Explanation, tried: tuple[Tried, ...], best: tuple[Tried, float] | None
) -> Explanation:
    """tried: every giver. best: the one that helps most, and what it brings, where none suffices."""
    goals, goal = goal_set.goals, goal_set.goals[found.goal]
    if found.together is None or not goal.met_by(found.together):
        slopes = tuple(words.trade_off(goal, goals[one.giver], one.slope, one.furthest) for one in tried)
        found = replace(found, trade_offs=slopes)
    working = [(one, one.limit) for one in tried if one.limit is not None]
    if not working:
        return replace(found, no_change=_no_change(goal_set, found, tried, best))
    one, limit = min(working, key=lambda pair: abs(pair[1] / goals[pair[0].giver].limit - 1))
    giver = goals[one.giver]
    change = Change(
        giver=one.giver,
        structure=giver.structure,
        metric=str(giver.metric),
        unit=giver.unit,
        limit_from=giver.limit,
        limit_to=limit,
        value=one.value,
        room=goal.limit - one.value if goal.comparator is Comparator.AT_MOST else one.value - goal.limit,
        level="fluence",
        tried=len(tried),
        sentence="",
    )
    return replace(found, change=replace(change, sentence=words.change_sentence(goal_set, goal, change)))


def _no_change(
    goal_set: GoalSet, found: Explanation, tried: tuple[Tried, ...], best: tuple[Tried, float] | None
) -> str:
    goals, goal = goal_set.goals, goal_set.goals[found.goal]
    if not tried:
        return "the time ended before any change of another goal was tried" if not found.finished else ""
    names = ", ".join(
        f"{goals[one.giver].structure} {goals[one.giver].metric} to {one.furthest:g} {goals[one.giver].unit}"
        for one in tried
    )
    told = f"no single change that was tried suffices ({names})"
    if best is not None:
        one, value = best
        giver = goals[one.giver]
        told += (
            f"; with {giver.structure} {giver.metric} at {one.furthest:g} {giver.unit} and all else kept, "
            f"{words.amount(value, goal.unit, beside=goal.limit)} was reached: a limit of that would be met"
        )
    if found.together is not None and not goal.comparator.holds(found.value, found.together):
        told += (
            f"; with no change at all {words.amount(found.together, goal.unit, beside=goal.limit)} was reached beside "
            "the other goals"
        )
    return told if found.finished else f"{told}; the time ended before others were tried"


def delivered(goal_set: GoalSet, found: Explanation, replan: Replan, progress: Progress) -> Explanation:
    """With the claimed change made into a whole plan."""
    if found.change is None:
        return found
    progress("a deliverable plan for the change", 0.0)
    goal, change = goal_set.goals[found.goal], found.change
    values = replan(with_limit(goal_set, change.giver, change.limit_to))
    value = values[found.goal]
    if math.isnan(value):
        return found
    if goal.met_by(value):
        change = replace(change, level="deliverable", value=value, room=abs(goal.limit - value))
    change = replace(change, deliverable_value=value)
    return replace(found, change=replace(change, sentence=words.change_sentence(goal_set, goal, change)))
