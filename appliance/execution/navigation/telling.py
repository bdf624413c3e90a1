"""What gives way for what, in a sentence for a clinician."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, PlanningState
from appliance.contracts.navigation import Forecast, Wish

NOTICED = 0.01
"""Changes below this share of the limit are not spoken of (chosen: what a second plan of the same case differs by)."""


def told_of_anchor(goal_set: GoalSet, favoured: int, middle: PlanningState, state: PlanningState) -> str:
    """'Parotid_L Mean -3.1 Gy costs Larynx Mean +1.8 Gy; coverage unchanged'."""
    goals = goal_set.goals
    before, after = middle.goal_values, state.goal_values
    gained = change_of(goals[favoured], before[favoured], after[favoured])
    moved = [i for i in range(len(goals)) if is_noticed(goals[i], before[i], after[i])]
    noticed = [i for i in moved if i != favoured]
    coverage = [i for i, goal in enumerate(goals) if not goal.caps_dose and not math.isnan(before[i])]
    worse = [i for i in noticed if worsening(goals[i], before[i], after[i]) > 0]
    better = [i for i in noticed if i not in worse]
    if favoured not in moved or worsening(goals[favoured], before[favoured], after[favoured]) > 0:
        kept = "the hot-spot limit" if favoured in coverage else "coverage"
        return f"no way was found to better {goals[favoured].structure} {goals[favoured].metric} without losing {kept}"
    costs = f"costs {_listed(goals, worse, before, after)}" if worse else "costs no other goal anything of note"
    parts = [f"{gained} {costs}"]
    if better:
        parts.append(f"with it {_listed(goals, better, before, after)}")
    if coverage and favoured not in coverage and not set(coverage) & set(noticed):
        parts.append("coverage unchanged")
    return "; ".join(parts)


def change_of(goal: ClinicalGoal, before: float, after: float) -> str:
    return f"{goal.structure} {goal.metric} {after - before:+.1f} {goal.unit}"


def worsening(goal: ClinicalGoal, before: float, after: float) -> float:
    """Of a goal in its unit: positive where `after` is further from it; 0 where the structure is absent."""
    if math.isnan(before) or math.isnan(after):
        return 0.0
    return after - before if goal.comparator is Comparator.AT_MOST else before - after


def is_noticed(goal: ClinicalGoal, before: float, after: float) -> bool:
    return abs(worsening(goal, before, after)) > NOTICED * max(abs(goal.limit), 1e-6)


def _listed(
    goals: Sequence[ClinicalGoal], numbers: Iterable[int], before: Sequence[float], after: Sequence[float]
) -> str:
    ordered = sorted(numbers, key=lambda i: -abs(after[i] - before[i]) / max(abs(goals[i].limit), 1e-6))
    return ", ".join(change_of(goals[i], before[i], after[i]) for i in ordered)


def told_of_answer(
    wish: Wish,
    now: float,
    reached: float,
    forecasts: Sequence[Forecast],
    *,
    reachable: bool,
    held_by: Sequence[tuple[str, float]],
    further: float | None,
) -> str:
    """Whether the wish can be had, what it costs and what it brings besides."""
    value = f"{reached:.1f} {wish.unit} (now {now:.1f})"
    told = [
        f"{wish} can be had: {value} is predicted"
        if reachable
        else f"{wish} cannot be had: {value} is as far as the plans around it go"
    ]
    if not reachable and held_by and further is not None:
        lost_then = _and([f"{name} ({value:.2f})" for name, value in held_by])
        told.append(f"beyond that {lost_then} would be lost; then {further:.1f} {wish.unit} would be reached")
    others = [one for one in forecasts if (one.structure, one.metric) != (wish.structure, str(wish.metric))]
    lost = [one for one in others if one.met_now and not one.met_then]
    costs = [one for one in others if one not in lost and _noticed(one) and _worse(one)]
    gains = [one for one in others if _noticed(one) and not _worse(one)]
    if lost:
        told.append(f"no longer met: {', '.join(_moved(one) for one in lost)}")
    if costs:
        told.append(f"it costs {', '.join(_moved(one) for one in costs)}")
    if gains:
        told.append(f"it also gains {', '.join(_moved(one) for one in gains)}")
    if not (lost or costs or gains):
        told.append("no other goal changes by more than 1 %")
    return "; ".join(told)


def _moved(one: Forecast) -> str:
    return f"{one.name} {one.now:.1f} to {one.then:.1f} {one.unit}"


def _noticed(one: Forecast) -> bool:
    return abs(one.then - one.now) > NOTICED * max(abs(one.limit), 1e-6)


def _worse(one: Forecast) -> bool:
    return (one.then > one.now) == (one.comparator == Comparator.AT_MOST.value)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
