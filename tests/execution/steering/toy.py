"""A planning system small enough to be worked out by hand: two beams, a target between two organs.

Beam a goes through the left organ, beam b through the right one:

    target = a + b      left mean = a / 2      right mean = 2 b / 5      hottest = 1.06 (a + b)

so a target dose T is to be had with means of at most L and R exactly where 2 L + 5/2 R >= T."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from appliance.contracts import GoalSet, Objective, ObjectiveKind, Objectives, PlanningState
from appliance.execution.steering.changes import FLOORS

from ...planning.cases import goal, goal_set

RESPONSE = {
    "PTV": np.array([1.0, 1.0]),
    "Left": np.array([0.5, 0.0]),
    "Right": np.array([0.0, 0.4]),
    "External": np.array([1.06, 1.06]),
}
"""Gy in a region for one unit of each beam; a region's dose is the same everywhere in it."""
PRESCRIBED_GY = 20.0
GREEDY = 0.9
"""The template asks organs for this share of their limits: too little for the target where the limits are tight."""


def toy_goals(left_gy: float, right_gy: float) -> GoalSet:
    """Coverage of 20 Gy, hottest at most 22.4 Gy, and two means, the left one more important."""
    return goal_set(
        goal("PTV", "D95%", ">=", PRESCRIBED_GY),
        goal("Left", "Mean", "<=", left_gy, priority=2),
        goal("Right", "Mean", "<=", right_gy, priority=3),
    )


class ToyTps:
    """Implements contracts.SteerableTps. Finds the minimum of the weighted squares each time, so that its answer
    depends on the objectives alone."""

    def __init__(self, goals: GoalSet) -> None:
        self._goals, self._beams = goals, np.zeros(2)
        self.asked: list[Objectives] = []

    def initial_objectives(self) -> Objectives:
        target, left, right = self._goals.goals
        return (
            Objective("PTV", ObjectiveKind.DVH_MIN, target.limit * 1.002, 20.0, volume_percent=95.0, goal=0),
            Objective("Left", ObjectiveKind.MEAN_DOSE, left.limit * GREEDY, 20.0, goal=1),
            Objective("Right", ObjectiveKind.MEAN_DOSE, right.limit * GREEDY, 20.0, goal=2),
            Objective("External", ObjectiveKind.SQUARED_OVERDOSE, 21.8, 100.0, hot_spot=True),
        )

    def offered_objectives(self) -> Objectives:
        return (Objective("Left", ObjectiveKind.SQUARED_OVERDOSE, 8.0, 1.0),)

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        self.asked.append(objectives)
        found = minimize(_merit, self._beams, (objectives,), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2)
        self._beams = found.x
        values = tuple(self._dose(one.structure) for one in self._goals.goals)
        return PlanningState(values, float(found.fun), self._dose("External"), int(found.nfev), "toy")

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(self._dose(structure) for _ in volumes_percent)

    def modulation(self) -> float:
        return float("nan")

    def forget(self) -> None:
        self._beams = np.zeros(2)

    def _dose(self, structure: str) -> float:
        return float(RESPONSE[structure] @ self._beams)


def _merit(beams: NDArray[np.float64], objectives: Objectives) -> tuple[float, NDArray[np.float64]]:
    value, gradient = 0.0, np.zeros(2)
    for one in objectives:
        response = RESPONSE[one.structure]
        off = float(response @ beams) - one.dose_gy
        if (off < 0) == (one.kind in FLOORS):
            value += one.weight * off**2
            gradient += 2 * one.weight * off * response
    return value, gradient
