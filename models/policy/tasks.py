"""One training task: a case, its goals and beams, and perhaps what a prediction foresees. Small enough to be sent to
any worker, which builds the planning system from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Case, ClinicalGoal, GoalSet
from appliance.errors import EvaluationError
from appliance.evaluation import goal_set_for_site
from appliance.evaluation.judged import Regions, goal_value
from appliance.execution.guide import Foreseen
from appliance.planning.coarse import Coarseness, CoarseTps
from engines.dvh import DoseVolume
from models.policy.stored import file_of, load_case

OPENKBP_GOALS = "openkbp-head-neck"
ORGAN_GY, TARGET_GY = 1.6, 0.8
"""What a stand-in for a prediction is off by (standard deviation): the dose network's error of an organ's metric,
0.6 times 2.7 Gy (models/dose/CARD.md), and half of it for targets, where it errs less (chosen)."""
EIGHTY = 1.2816
"""Half an 80 % interval of a normal distribution in standard deviations."""
KEPT_CASES, KEPT_SYSTEMS = 4, 2


@dataclass(frozen=True)
class Task:
    """case: name of a file of `cases.py`. first_gantry and number of beams stand in the goal set. foreseen_seed: of the
    stand-in for a prediction; None: the planner has none."""

    number: int
    case: str
    goal_set: GoalSet
    coarseness: Coarseness
    foreseen_seed: int | None = None


def system_of(task: Task, cache: Path) -> CoarseTps:
    """The planning system of a task. The last ones are kept: their state is that of whoever used them last, and an
    episode begins with `forget`."""
    return _system(task.case, task.goal_set, task.coarseness, cache)


@lru_cache(KEPT_SYSTEMS)
def _system(name: str, goal_set: GoalSet, coarseness: Coarseness, cache: Path) -> CoarseTps:
    return CoarseTps(_case(name, cache), goal_set, PlanningConfig(), coarseness)


@lru_cache(KEPT_CASES)
def _case(name: str, cache: Path) -> Case:
    return load_case(file_of(cache, name))


def foreseen_of(task: Task, cache: Path) -> tuple[Foreseen, ...]:
    """What a prediction could say of each goal: its value on the reference dose, scaled to the task's prescription and
    off by a random dose; () where the task has none."""
    if task.foreseen_seed is None:
        return ()
    case, random = _case(task.case, cache), np.random.default_rng(task.foreseen_seed)
    if case.reference_dose_gy is None:
        return ()
    shipped, goal_set = goal_set_for_site(OPENKBP_GOALS), task.goal_set
    highest, reference = (max(dose for _, dose in one.prescription) for one in (goal_set, shipped))
    dose_gy = case.reference_dose_gy.reshape(-1) * np.float32(highest / reference)
    regions, targets = Regions(case), frozenset(name for name, _ in goal_set.prescription)
    spread = [TARGET_GY if targets & set(goal.structure.split("+")) else ORGAN_GY for goal in goal_set.goals]
    off = random.normal(0.0, spread)
    return tuple(
        _foreseen(goal, regions, dose_gy + np.float32(o), s)
        for goal, o, s in zip(goal_set.goals, off, spread, strict=True)
    )


def _foreseen(goal: ClinicalGoal, regions: Regions, dose_gy: NDArray[np.float32], spread_gy: float) -> Foreseen:
    """Of a goal on a dose (voxels,) in Gy that may be off by spread_gy."""
    try:
        region = regions.region(goal.structure)
    except EvaluationError:
        return Foreseen(math.nan, math.nan, math.nan)
    doses = dose_gy[region.index]
    value, *ends = (
        goal_value(goal, DoseVolume.of(np.maximum(doses + np.float32(side * spread_gy), 0), region.cc))
        for side in (0.0, -EIGHTY, EIGHTY)
    )
    return Foreseen(value, min(value, *ends), max(value, *ends))
