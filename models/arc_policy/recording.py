"""What the product's optimiser does with arcs of training patients: the paths that it passes, and their slopes.

    python -m models.arc_policy.recording CACHE OUT [--count 40] [--seed 1]

CACHE: cases as the training of `models/policy` keeps them (`models/policy/cases.py`). One file a case; a case that is
in OUT already is not planned again. Needs no PyTorch."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.contracts import GoalSet
from appliance.evaluation import goal_set_for_site, goals_for_case
from appliance.session_work import prescribed
from models.dose.console import say
from models.policy.cases import BUILTIN, OPENKBP
from models.policy.making import GOAL_SETS
from models.policy.stored import file_of, load_case
from models.policy.tasks import OPENKBP_GOALS

from .system import ArcTps, Look, coarse_config

ROUNDS = (30, 30, 60, 90)
"""Evaluations between the recorded paths: those of `moving_leaves.DEVELOP_BUDGETS`."""
LAST_PATIENT = 180
"""Patients of 181 to 200 choose, those from 201 on judge."""


def prepared_system(cache: Path, name: str) -> ArcTps:
    case = load_case(file_of(cache, name))
    goal_set: GoalSet = goals_for_case(goal_set_for_site(GOAL_SETS.get(name, (OPENKBP_GOALS,))[0]), case)
    return ArcTps(prescribed(case, goal_set), goal_set, coarse_config())


def record(tps: ArcTps) -> list[Look]:
    """The start and every round's end."""
    objectives = tps.initial_objectives()
    tps.optimise_fluence(objectives)
    tps.begin()
    looks = [tps.look(tps.watch(objectives))]
    for budget in ROUNDS:
        tps.improve(objectives, budget)
        looks.append(tps.look(tps.watch(objectives)))
    return looks


def save(tps: ArcTps, looks: list[Look], path: Path) -> None:
    """Per field N: left_N, right_N (states, points, pairs in use), mu_N (states, intervals), their slopes with by_ in
    front, and window_N of both banks; merit (states,)."""
    arrays: dict[str, Any] = {"merit": np.array([look.merit for look in looks])}
    for number, (field, limits) in enumerate(zip(tps.fields, tps.limits, strict=True)):
        for front, kept in (("", [look.paths[number] for look in looks]), ("by_", [x.slopes[number] for x in looks])):
            arrays[f"{front}left_{number}"] = np.array([one.left_mm[:, field.active] for one in kept])
            arrays[f"{front}right_{number}"] = np.array([one.right_mm[:, field.active] for one in kept])
            arrays[f"{front}mu_{number}"] = np.array([one.mu for one in kept])
        arrays[f"window_{number}"] = np.array([limits.paths.window_a_mm, limits.paths.window_b_mm])
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.replace(path)


def names_of(cache: Path, count: int, seed: int) -> list[str]:
    numbers = np.random.default_rng(seed).permutation(np.arange(1, LAST_PATIENT + 1))
    found = [name for n in numbers if file_of(cache, name := OPENKBP.format(n)).is_file()]
    return [*found[: count - 1], BUILTIN.format("prostate")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Records how arcs of training patients are optimised.")
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in names_of(asked.cache, asked.count, asked.seed):
        path = asked.out / f"{name}.npz"
        if path.is_file():
            continue
        begun = time.process_time()
        tps = prepared_system(asked.cache, name)
        geometry_s = time.process_time() - begun
        looks = record(tps)
        save(tps, looks, path)
        merits = ", ".join(f"{look.merit:.1f}" for look in looks)
        say(f"{name}: merit {merits}; {geometry_s:.1f} + {time.process_time() - begun - geometry_s:.1f} CPU s")


if __name__ == "__main__":
    main()
