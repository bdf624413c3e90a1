"""Random tasks for a run, and the plain ones that it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from appliance.contracts import Case
from appliance.errors import RefusedGoals
from appliance.evaluation import goal_set_for_site
from appliance.planning.coarse import Coarseness
from models.policy.cases import BUILTIN
from models.policy.stored import file_of, load_case
from models.policy.tasks import OPENKBP_GOALS, Task
from models.policy.varied import Variation, varied_goal_set

GOAL_SETS = {
    BUILTIN.format("c-shape"): ("tg119-c-shape", "tg119-c-shape-hard"),
    BUILTIN.format("prostate"): ("tg119-prostate",),
    BUILTIN.format("head-neck"): ("tg119-head-neck",),
    BUILTIN.format("multi-target"): ("tg119-multi-target",),
}
THIN, GRID_MM, FIRST, FURTHER = (0.75, 1.0, 1.25), (0.9, 1.1), (0.75, 1.0), (0.8, 1.0, 1.25)
"""Factors on the coarseness of the product (chosen: the policy shall not learn one sampling's noise)."""


def make_tasks(
    names: Sequence[str], cache: Path, *, count: int, seed: int, variation: Variation, foreseen: float = 0.5
) -> tuple[Task, ...]:
    """So many random tasks, each case about as often as the others; foreseen: share of them that have a stand-in for a
    prediction, where their case has a reference dose. The same arguments give the same tasks. Left out: cases that no
    goal set fits."""
    made: list[Task] = []
    for place, name in enumerate(names):
        numbers = range(place, count, len(names))
        if not numbers:
            continue
        case = load_case(file_of(cache, name))
        made += [task for n in numbers if (task := _task(n, name, case, seed, variation, foreseen)) is not None]
    return tuple(sorted(made, key=lambda task: task.number))


def _task(number: int, name: str, case: Case, seed: int, variation: Variation, foreseen: float) -> Task | None:
    random = np.random.default_rng([seed, number])
    sets = GOAL_SETS.get(name, (OPENKBP_GOALS,))
    base = goal_set_for_site(sets[int(random.integers(len(sets)))])
    try:
        goal_set = varied_goal_set(base, case, variation, random)
    except RefusedGoals:
        return None
    is_foreseen = case.reference_dose_gy is not None and random.random() < foreseen
    return Task(number, name, goal_set, _coarseness(random), int(random.integers(2**31)) if is_foreseen else None)


def plain_tasks(names: Sequence[str], cache: Path) -> tuple[Task, ...]:
    """Each case once, with the goals and beams that ship for it: to judge on."""
    rigid = Variation(plain=1.0)
    tasks = make_tasks(names, cache, count=len(names), seed=0, variation=rigid, foreseen=0.0)
    return tuple(replace(task, coarseness=Coarseness()) for task in tasks)


def _coarseness(random: np.random.Generator) -> Coarseness:
    usual = Coarseness()
    return replace(
        usual,
        thin=max(1, round(usual.thin * float(random.choice(THIN)))),
        grid_mm=usual.grid_mm * float(random.uniform(*GRID_MM)),
        first=round(usual.first * float(random.choice(FIRST))),
        further=round(usual.further * float(random.choice(FURTHER))),
    )
