"""A planning problem with a target and two organs whose best plan is known: what a learner must solve before it is
trusted with patients.

Two beams of strengths s and t give the target s + t, the first organ a s and the second b t, each the same everywhere.
What is optimised is w (p - s - t)^2 + u (a s - A)^2 + v (b t - B)^2 with the weights w, u, v and the doses p, A, B
that are asked: its gradient is zero where

    (w + u a^2) s + w t = w p + u a A        w s + (w + v b^2) t = w p + v b B,

two equations, solved in closed form. So a state depends on the setting alone, not on the way to it.

The optimum. The rewards of an episode add up to score(last) - score(first) + the hot spot's change - price * calls +
bonus(last): they depend on the last setting and on the calls to it. Each lever moves one step a call, whatever the
others do, so a setting is reached in as many calls as its furthest lever has steps (|steps of the weight| + |steps of
the dose|), and no sooner. The best of all settings within the calls of an episode is therefore found by looking at
each of them (`optimum`): 61 positions of each lever at five calls, some 200,000 settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import (
    ClinicalGoal,
    Comparator,
    GoalSet,
    Metric,
    Objective,
    ObjectiveKind,
    Objectives,
    PlanningState,
)  # fmt: skip
from appliance.execution.rules import hot_shortfall, shortfall
from appliance.execution.steering.changes import Change, Lever, Position, is_legal, moved
from appliance.execution.steering.episode import PlanningEpisode, Terms
from appliance.execution.steering.policy import STOP, Action, View

TARGET, ORGANS = "PTV", ("OrganA", "OrganB")
PRESCRIBED_GY = 50.0
TERMS = Terms(calls=6, call_price=0.5)
POINTS = (50.0, 25.0, 25.0)
"""Of 100, for the target and each organ; a miss of a fifth earns nothing, and an organ's dose is worth a fifth of its
points more at half its limit (all chosen, so that goals conflict and the best plan is not the first)."""
FURTHEST_MISS, SPARED = 0.2, 0.4
Values = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Gy of the target and both organs."""


@dataclass(frozen=True)
class Toy:
    """shares: of a beam's strength that its organ gets. limits_gy: of the organs' mean doses."""

    shares: tuple[float, float] = (0.6, 0.8)
    limits_gy: tuple[float, float] = (14.0, 20.0)

    @property
    def goal_set(self) -> GoalSet:
        target = _goal(TARGET, Metric.parse("Min"), Comparator.AT_LEAST, 0.96 * PRESCRIBED_GY)
        mean = Metric.parse("Mean")
        organs = (_goal(*row) for row in zip(ORGANS, [mean] * 2, [Comparator.AT_MOST] * 2, self.limits_gy, strict=True))
        return GoalSet(
            "toy", "a target and two organs", "none", 25, ((TARGET, PRESCRIBED_GY),), (target, *organs), "toy"
        )  # fmt: skip

    def values(self, weights: Sequence[NDArray[np.float64]], asked: Sequence[NDArray[np.float64]]) -> Values:
        """The minimum of what is optimised."""
        (w, u, v), (p, first, second), (a, b) = weights, asked, self.shares
        aa, bb = w + u * a * a, w + v * b * b
        right, left = w * p + u * a * first, w * p + v * b * second
        s = (right * bb - left * w) / (aa * bb - w * w)
        t = (left * aa - right * w) / (aa * bb - w * w)
        return s + t, a * s, b * t

    def score(self, values: Sequence[float] | Values) -> NDArray[np.float64]:
        """Percent; of one plan, or of many at once."""
        total = np.zeros(())
        for points, goal, value in zip(POINTS, self.goal_set.goals, values, strict=True):
            missed = (np.asarray(value) / goal.limit - 1) * (-1 if goal.comparator is Comparator.AT_LEAST else 1)
            room = 0.0 if goal.comparator is Comparator.AT_LEAST else SPARED * np.clip(-missed, 0, 0.5)
            total = total + points * ((1 - SPARED / 2) * np.clip(1 - missed / FURTHEST_MISS, 0, 1) + room)
        return total


def _goal(structure: str, metric: Metric, comparator: Comparator, limit_gy: float) -> ClinicalGoal:
    return ClinicalGoal(structure, metric, comparator, limit_gy, "Gy", 1, "chosen")


def drawn(random: np.random.Generator) -> Toy:
    """A problem whose goals are at, below or above what can be had together."""
    shares = (float(random.uniform(0.4, 0.9)), float(random.uniform(0.4, 0.9)))
    part, slack = float(random.uniform(0.35, 0.65)), float(random.uniform(0.85, 1.1))
    whole = PRESCRIBED_GY * slack
    return Toy(shares, (shares[0] * part * whole, shares[1] * (1 - part) * whole))


class ToyTps:
    """Implements contracts.SteerableTps."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self._doses = dict.fromkeys((TARGET, *ORGANS), math.nan)

    def initial_objectives(self) -> Objectives:
        target = Objective(TARGET, ObjectiveKind.SQUARED_UNDERDOSE, PRESCRIBED_GY, 1.0, goal=0)
        organs = (
            Objective(name, ObjectiveKind.MEAN_DOSE, limit_gy, 1.0, goal=1 + i)
            for i, (name, limit_gy) in enumerate(zip(ORGANS, self.toy.limits_gy, strict=True))
        )
        return (target, *organs)

    def offered_objectives(self) -> Objectives:
        return ()

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        weights = [np.asarray(objective.weight) for objective in objectives]
        asked = [np.asarray(objective.dose_gy) for objective in objectives]
        values = tuple(float(one) for one in self.toy.values(weights, asked))
        self._doses = dict(zip((TARGET, *ORGANS), values, strict=True))
        return PlanningState(values, 0.0, values[0], 1, "fluence")

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(self._doses[structure] for _ in volumes_percent)

    def modulation(self) -> float:
        return math.nan

    def forget(self) -> None:
        self._doses = dict.fromkeys(self._doses, math.nan)


def toy_episode(toy: Toy, terms: Terms = TERMS) -> PlanningEpisode:
    return PlanningEpisode(ToyTps(toy), toy.goal_set, lambda values: float(toy.score(values)), terms=terms)


# ---- the optimum -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Optimum:
    """reward: of a whole episode. path: the actions that earn it."""

    reward: float
    path: tuple[Action, ...]


def optimum(toy: Toy, terms: Terms = TERMS) -> Optimum:
    """Where one call may change any number of levers."""
    episode = toy_episode(toy, terms)
    view = episode.reset()
    ways = [_ways(lever, at, terms.calls - 1) for lever, at in zip(episode.levers, view.setting, strict=True)]
    grids = [np.meshgrid(*rows, indexing="ij") for rows in (
        [[len(way) for way, _ in lever] for lever in ways],
        [[position.weight for _, position in lever] for lever in ways],
        [[lever.first.dose_gy * at.ask for _, at in way] for lever, way in zip(episode.levers, ways, strict=True)],
    )]  # fmt: skip
    calls = np.maximum.reduce(grids[0])
    values = toy.values(grids[1], grids[2])
    merit, met = toy.score(values) - _hot(toy, values[0], terms), _met(toy, values)
    first = episode.best.merit
    reward = merit - first - terms.call_price * calls + terms.bonus * met
    best = np.unravel_index(int(reward.argmax()), reward.shape)
    chosen = [ways[lever][int(i)][0] for lever, i in enumerate(best)]
    path = [
        Action(tuple(way[call] if call < len(way) else Change.KEEP for way in chosen))
        for call in range(max(len(way) for way in chosen))
    ]
    if len(path) < terms.calls - 1:
        path.append(STOP)
    return Optimum(float(reward[best]), tuple(path))


def _ways(lever: Lever, first: Position, steps: int) -> list[tuple[tuple[Change, ...], Position]]:
    """Every position that a lever reaches within so many changes, each by a shortest way."""
    found: dict[tuple[float, float], tuple[tuple[Change, ...], Position]] = {_key(first): ((), first)}
    edge = list(found.values())
    for _ in range(steps):
        further = []
        for way, position in edge:
            for change in Change:
                if change is not Change.KEEP and is_legal(lever, position, change):
                    reached = moved(lever, position, change)
                    if _key(reached) not in found:
                        found[_key(reached)] = ((*way, change), reached)
                        further.append(found[_key(reached)])
        edge = further
    return list(found.values())


def _key(position: Position) -> tuple[float, float]:
    return round(math.log2(position.weight), 6), round(position.ask, 6)


def _hot(toy: Toy, target_gy: NDArray[np.float64], terms: Terms) -> NDArray[np.float64]:
    limit_gy = PRESCRIBED_GY * toy.goal_set.hot_spot_percent / 100
    return terms.hot_price * 100 * np.maximum(target_gy / limit_gy - 1, 0)


def _met(toy: Toy, values: Values) -> NDArray[np.float64]:
    """Share of the goals that are met, the hot spot's limit among them."""
    met = [(value >= g.limit) if g.comparator is Comparator.AT_LEAST else (value <= g.limit)
           for g, value in zip(toy.goal_set.goals, values, strict=True)]  # fmt: skip
    met.append(_hot(toy, values[0], Terms(hot_price=1.0)) <= 0)
    return np.mean([np.asarray(one, np.float64) for one in met], axis=0)


class ToyRules:
    """A planner's habits on this problem: push what is missed, let go what has room, stop when nothing is missed."""

    name = "toy rules"

    def act(self, view: View) -> Action:
        goals, values = view.goal_set.goals, view.state.goal_values
        missed = [shortfall(goals[lever.goal], values[lever.goal]) for lever in view.levers]
        if max(missed) <= 0 and hot_shortfall(view.goal_set, view.state.hottest_gy) <= 0:
            return STOP
        return Action(tuple(map(self._change, view.levers, view.setting, missed)))

    @staticmethod
    def _change(lever: Lever, position: Position, missed: float) -> Change:
        wanted = Change.RAISE if missed > 0.002 else Change.LOWER if missed < -0.02 else Change.KEEP
        return wanted if is_legal(lever, position, wanted) else Change.KEEP
