"""Searches that a policy is compared with and that the product never uses: they set weights and doses freely."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from appliance.contracts import Objective
from appliance.execution.rules import Rules
from appliance.execution.steering.changes import Lever, Position, Setting, ask_range, first_setting, weight_range
from appliance.execution.steering.episode import PlanningEpisode, Step

ROOM = 0.003
"""As the planner wants goals met in its fluence rounds."""
WEIGHTS, ASKS = (0.25, 16.0), (0.6, 1.05)
"""Multiples of a first weight and of what was first asked that Bayesian optimisation searches (chosen: a part of what
the levers allow, around the template, because the whole is too wide for so few calls)."""
RANDOM_FIRST = 3
"""Settings at random after the template, before the model of the merit is asked."""
SEED = 1


def pushes(episode: PlanningEpisode) -> Step:
    """The habits of the planner that plans without a policy (`execution/rules.py`): every weight moves at every call by
    what its goal is missed by, or met with."""
    view = episode.reset()
    first = tuple(lever.first for lever in episode.levers if not lever.offered)
    rules, objectives = Rules(episode.goal_set, first), first
    while not episode.done:
        objectives = rules.adjust(objectives, view.state.goal_values, view.state.hottest_gy, room=ROOM)
        started = [_position(*pair) for pair in zip(episode.levers, objectives, strict=False)]
        view = episode.ask((*started, *view.setting[len(started) :]))
    return episode.best


def _position(lever: Lever, objective: Objective) -> Position:
    weight = objective.weight / lever.first.weight
    if lever.by_volume:
        return Position(weight, objective.volume_percent / lever.first.volume_percent)
    return Position(weight, objective.dose_gy / lever.first.dose_gy)


def bayes(episode: PlanningEpisode) -> Step:
    """Bayesian optimisation with a Gaussian process (the package bayesian-optimization, its defaults) of log weights
    and of what is asked, of each objective with a goal and of the hot spot; of the points that an episode rewards."""
    try:
        from bayes_opt import BayesianOptimization
    except ImportError as error:
        raise SystemExit("Bayesian optimisation needs the extra 'bench' (pip install -e '.[bench]')") from error
    episode.reset()
    bounds = _bounds(episode.levers)
    search = BayesianOptimization(None, bounds, random_state=SEED, verbose=0, allow_duplicate_points=True)
    search.register(_as_point(first_setting(episode.levers), bounds), episode.steps[-1].points)
    random = np.random.default_rng(SEED)
    while not episode.done:
        if len(episode.steps) <= RANDOM_FIRST:
            point = {name: float(random.uniform(*ends)) for name, ends in bounds.items()}
        else:
            point = search.suggest()
        episode.ask(_as_setting(first_setting(episode.levers), point))
        search.register(point, episode.steps[-1].points)
    return episode.best


def _bounds(levers: tuple[Lever, ...]) -> dict[str, tuple[float, float]]:
    """'weight 3' in powers of two, 'ask 3', by the lever's number."""
    bounds = {}
    for number, lever in enumerate(levers):
        if lever.offered or (lever.goal < 0 and not lever.first.hot_spot):
            continue
        (light, heavy), (least, most) = weight_range(lever), ask_range(lever)
        bounds[f"weight {number}"] = math.log2(max(light, WEIGHTS[0])), math.log2(min(heavy, WEIGHTS[1]))
        if least < most:
            bounds[f"ask {number}"] = max(least, ASKS[0]), min(most, ASKS[1])
    return bounds


def _as_point(setting: Setting, bounds: dict[str, tuple[float, float]]) -> dict[str, float]:
    stands = {}
    for name in bounds:
        kind, number = name.split()
        position = setting[int(number)]
        stands[name] = math.log2(position.weight) if kind == "weight" else position.ask
    return stands


def _as_setting(first: Setting, point: dict[str, float]) -> Setting:
    moved = list(first)
    for name, value in point.items():
        kind, number = name.split()
        change = {"weight": 2.0**value} if kind == "weight" else {"ask": value}
        moved[int(number)] = replace(moved[int(number)], **change)
    return tuple(moved)
