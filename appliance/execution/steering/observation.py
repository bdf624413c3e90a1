"""What the learned policy sees, as numbers about one: a row for each lever, and a few of the whole plan.

Doses are shares of the highest prescription. A row holds its structure's DVH, its goal and how far that is met, where
the lever stands, what a prediction foresees, and nothing of its place in the list or its structure's name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import ClinicalGoal, Comparator, MetricKind, ObjectiveKind
from appliance.execution.guide import Foreseen
from appliance.execution.rules import hot_shortfall, shortfall
from appliance.execution.steering.changes import Change, Lever, Position, is_legal, objective_at
from appliance.execution.steering.policy import Observation

if TYPE_CHECKING:
    from appliance.execution.steering.episode import PlanningEpisode

VOLUMES_PERCENT = (1.0, 5.0, 10.0, 20.0, 30.0, 50.0, 70.0, 80.0, 90.0, 95.0, 99.0)
METRICS = tuple(MetricKind)
KINDS = tuple(ObjectiveKind)
WIDEST = 0.5
"""Shortfalls are cut at this share of the limit, and enlarged so that one percent shows."""
SCALE = 10.0
LARGEST = 100.0
"""Nothing is larger in a token (chosen: volumes of many litres are the only ones that could be)."""

TOKEN_FEATURES = (
    *(f"dose at {volume:g} %" for volume in VOLUMES_PERCENT),
    *(f"kind {kind.value}" for kind in KINDS),
    "of a target", "hot spot", "offered", "active", "by volume",
    "log weight", "ask", "dose asked", "volume asked",
    "has goal", "at least", *(f"metric {kind.value}" for kind in METRICS), "limit",
    "priority 1", "priority 2", "priority 3 and lower", "shortfall", "met", "room of its worst neighbour",
    "foreseen", "foreseen shortfall", "foreseen at best", "last gain", "last change",
)  # fmt: skip
CONTEXT_FEATURES = (
    "calls used", "calls left", "score", "best score", "goals met", "hot-spot shortfall", "modulation", "last gain",
    "levers", "targets",
)  # fmt: skip


def observe(episode: PlanningEpisode) -> Observation:
    rows = [_row(episode, number) for number in range(len(episode.levers))]
    setting = episode.steps[-1].setting
    legal = [
        [is_legal(lever, position, change) for change in Change]
        for lever, position in zip(episode.levers, setting, strict=True)
    ]
    tokens = np.clip(np.asarray(rows, np.float32), -LARGEST, LARGEST)
    return Observation(tokens, _context(episode), np.asarray(legal, np.bool_))


def _row(episode: PlanningEpisode, number: int) -> list[float]:
    lever, last = episode.levers[number], episode.steps[-1]
    position, highest_gy = last.setting[number], _highest_gy(episode)
    curve = [0.0 if math.isnan(dose) else dose / highest_gy for dose in last.curves[lever.structure]]
    kinds = [float(lever.first.kind is kind) for kind in KINDS]
    flags = [lever.of_target, lever.first.hot_spot, lever.offered, position.active, lever.by_volume]
    now = objective_at(lever, position)
    stands = [
        math.log2(position.weight) / 4, (position.ask - 1) * SCALE, now.dose_gy / highest_gy, now.volume_percent / 100,
    ]  # fmt: skip
    return [*curve, *kinds, *map(float, flags), *stands, *_goal(episode, lever), *_past(episode, number)]


def _goal(episode: PlanningEpisode, lever: Lever) -> list[float]:
    last = episode.steps[-1]
    if lever.goal < 0:
        hot = _cut(hot_shortfall(episode.goal_set, last.state.hottest_gy)) if lever.first.hot_spot else 0.0
        return [0.0, 0.0, *(0.0 for _ in METRICS), 0.0, 0.0, 0.0, 0.0, hot, float(hot <= 0), 0.0, 0.0, 0.0, 0.0]
    goal, value = episode.goal_set.goals[lever.goal], last.state.goal_values[lever.goal]
    limit = goal.limit / _highest_gy(episode) if goal.unit == "Gy" else goal.limit / 100
    missed = shortfall(goal, value)
    others = [
        shortfall(other, v)
        for i, (other, v) in enumerate(zip(episode.goal_set.goals, last.state.goal_values, strict=True))
        if i != lever.goal
    ]
    return [
        1.0, float(goal.comparator is Comparator.AT_LEAST), *(float(goal.metric.kind is kind) for kind in METRICS),
        limit,
        float(goal.priority == 1), float(goal.priority == 2), float(goal.priority > 2),
        _cut(missed), float(missed <= 0), _cut(max(others, default=0.0)),
        *_foreseen(goal, episode.foreseen[lever.goal] if episode.foreseen else None),
    ]  # fmt: skip


def _foreseen(goal: ClinicalGoal, one: Foreseen | None) -> list[float]:
    if one is None or math.isnan(one.value):
        return [0.0, 0.0, 0.0]
    return [1.0, _cut(shortfall(goal, one.value)), _cut(shortfall(goal, one.at_best(goal)))]


def _past(episode: PlanningEpisode, number: int) -> list[float]:
    if len(episode.steps) < 2:
        return [0.0, 0.0]
    before, now = (step.setting[number] for step in episode.steps[-2:])
    return [_points(episode.steps[-1].reward.gain), _moved(before, now)]


def _moved(before: Position, now: Position) -> float:
    if now.active != before.active:
        return 1.0
    return math.log2(now.weight / before.weight) + (now.ask - before.ask) * SCALE


def _context(episode: PlanningEpisode) -> NDArray[np.float32]:
    last, calls = episode.steps[-1], episode.terms.calls
    goals = zip(episode.goal_set.goals, last.state.goal_values, strict=True)
    met = [goal.met_by(value) for goal, value in goals if not math.isnan(value)]
    modulation = episode.tps.modulation()
    return np.asarray(
        [
            len(episode.steps) / calls, (calls - len(episode.steps)) / calls, last.score / 100,
            episode.best.score / 100,
            sum(met) / max(len(met), 1), _cut(hot_shortfall(episode.goal_set, last.state.hottest_gy)),
            0.0 if math.isnan(modulation) else modulation / 5, _points(last.reward.gain), len(episode.levers) / 32,
            sum(lever.of_target for lever in episode.levers) / 8,
        ],
        np.float32,
    )  # fmt: skip


def _cut(missed: float) -> float:
    return max(-WIDEST, min(missed, WIDEST)) * SCALE


def _points(gain: float) -> float:
    return max(-1.0, min(gain / 5, 1.0))


def _highest_gy(episode: PlanningEpisode) -> float:
    return max(dose for _, dose in episode.goal_set.prescription)
