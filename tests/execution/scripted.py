"""Scripted planning systems, full and small, for tests of the planner."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from appliance.contracts import (
    CalculatedDose,
    GoalConflict,
    Objective,
    ObjectiveKind,
    Objectives,
    Plan,
    PlanningState,
)
from engines.grid import Grid

from ..planning.cases import goal, goal_set, legal_plan

GOALS = goal_set(goal("PTV", "D95%", ">=", 20.0), goal("Core", "Mean", "<=", 10.0, priority=2))
GRID = Grid((0, 0, 0), (1, 1, 1), (1, 1, 2))
FIRST = (
    Objective("PTV", ObjectiveKind.DVH_MIN, 20.1, 100.0, volume_percent=96.0, goal=0),
    Objective("Core", ObjectiveKind.MEAN_DOSE, 9.9, 40.0, goal=1),
)


def percent(values: tuple[float, ...]) -> float:
    """A scorecard: 50 for each goal met, and up to 10 more for a lower organ dose."""
    target, organ = values
    return 50.0 * (target >= 20.0) + 40.0 * (organ <= 10.0) + max(0.0, 10.0 - organ / 2)


@dataclass
class Clock:
    """Seconds that pass only when somebody says so."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class TimedTps:
    """Plans of scripted results (D95 of the target, organ mean, hottest, Gy), one after each sequencing or refinement.
    clock: each call takes call_s, a full dose dose_s. `trouble`: called with the number and name of each call, and may
    raise or sleep. `plans`: what each full dose was of, by plan digest."""

    results: tuple[tuple[float, float, float], ...]
    clock: Clock = field(default_factory=Clock)
    call_s: float = 1.0
    dose_s: float = 4.0
    trouble: Callable[[int, str], None] = lambda number, name: None
    tell: Callable[[str, float], None] = lambda step, part: None
    round: int = -1
    calls: list[str] = field(default_factory=list)
    asked: list[Objectives] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def initial_objectives(self) -> Objectives:
        return FIRST

    def _state(self) -> PlanningState:
        d95, mean, hottest = self.results[min(max(self.round, 0), len(self.results) - 1)]
        return PlanningState((d95, mean), 1.0, hottest, 1, "scripted", 300.0)

    def _called(self, name: str, seconds: float) -> None:
        self.calls.append(name)
        self.threads.add(threading.current_thread().name)
        self.trouble(len(self.calls), name)
        self.clock.now_s += seconds
        self.tell(name, 0.5)

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        self.asked.append(objectives)
        self._called("fluence", self.call_s)
        return self._state()

    def sequence(self, objectives: Objectives) -> PlanningState:
        self._called("sequence", self.call_s)
        self.round += 1
        return self._state()

    def sequence_quickly(self, objectives: Objectives) -> PlanningState:
        self._called("quick", self.call_s)
        self.round += 1
        return self._state()

    def refine(self, objectives: Objectives) -> PlanningState:
        self._called("refine", self.call_s)
        self.round += 1
        return self._state()

    def judge(self) -> PlanningState:
        self._called("judge", self.dose_s)
        return self._state()

    def normalise(self, factor: float) -> PlanningState:
        return self._state()

    def conflicts(self, objectives: Objectives) -> tuple[GoalConflict, ...]:
        self._called("conflicts", 0.0)
        if self._state().goal_values[0] >= 20.0:
            return ()
        return (GoalConflict(0, (), "PTV D95% >= 20 is missed: it stands against mean dose of Core"),)

    def remember(self) -> Callable[[], PlanningState]:
        kept = self.round

        def back() -> PlanningState:
            self.round = kept
            return self._state()

        return back

    def finish(self) -> tuple[Plan, CalculatedDose]:
        plan = legal_plan()
        dose = np.full(GRID.shape, self._state().goal_values[0], np.float32)
        return plan, CalculatedDose(GRID, dose, plan.digest, "scripted", "none")


@dataclass
class SmallTps:
    """For exploring: the organ's mean is what is asked of it; the target is cold below 8 Gy."""

    trouble: Callable[[int], None] = lambda number: None
    calls: int = 0
    mean_gy: float = 9.9

    def initial_objectives(self) -> Objectives:
        return FIRST

    def offered_objectives(self) -> Objectives:
        return (Objective("PTV^15!PTV^5", ObjectiveKind.SQUARED_OVERDOSE, 17.0, 20.0),)

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        self.calls += 1
        self.trouble(self.calls)
        self.mean_gy = next(o.dose_gy for o in objectives if o.structure == "Core")
        return PlanningState((20.5 if self.mean_gy >= 8.0 else 19.0, self.mean_gy), 1.0, 21.0, 12, "fluence")

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(self.mean_gy for _ in volumes_percent)

    def modulation(self) -> float:
        return 2.0

    def forget(self) -> None:
        pass
