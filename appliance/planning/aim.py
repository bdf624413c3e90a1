"""What the optimiser aims at for one list of objectives: merit and gradient of a fluence, and whether it is enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Comparator, GoalSet, Objectives, PlanningState
from appliance.contracts.sampled import goal_values, hottest_gy
from appliance.planning.dose_model import DoseModel
from appliance.planning.merit import Merit, Regions
from appliance.planning.sampling import Samples

__all__ = ["Aim", "corrected", "hot_limit_gy", "hottest_gy"]

GROWN_ROOM = 0.005
"""A plan is enough when all goals are met with this room (chosen: 0.5 % is what the full dose may take; more apertures
or evaluations would only lengthen delivery or planning)."""


def hot_limit_gy(goal_set: GoalSet) -> float:
    return max(dose for _, dose in goal_set.prescription) * goal_set.hot_spot_percent / 100


def corrected(
    dose_model: DoseModel, fluence: NDArray[np.float32], correction: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Dose of samples. Where leaves have closed since, a correction can leave less than nothing: that is no dose."""
    return np.asarray(np.maximum(dose_model.forward(fluence) + correction, np.float32(0)), np.float32)


class Aim:
    """reference_gy (samples,): a dose that objectives may compare with. correction (samples,): what the full
    calculation last differed from `dose_model` by (see PhotonTps.judge)."""

    def __init__(
        self,
        objectives: Objectives,
        dose_model: DoseModel,
        correction: NDArray[np.float32],
        *,
        goal_set: GoalSet,
        regions: Regions,
        samples: Samples,
        external: str,
        reference_gy: NDArray[np.float32] | None = None,
    ) -> None:
        self.merit, self.points_mm = Merit(objectives, regions, samples, reference_gy), samples.points_mm
        self.dose_model, self._correction = dose_model, correction
        self._goal_set, self._regions, self._external = goal_set, regions, external
        self.dose_gy = np.zeros_like(correction)

    def dose_of(self, fluence: NDArray[np.float32]) -> NDArray[np.float32]:
        return corrected(self.dose_model, fluence, self._correction)

    def __call__(self, fluence: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """(merit, gradient (directions, nv, nu) in the fluence)."""
        self.dose_gy = self.dose_of(fluence)
        value, slope = self.merit(self.dose_gy)
        return value, self.dose_model.adjoint(slope)

    def state(self, merit: float, iterations: int, stage: str) -> PlanningState:
        values = goal_values(self._goal_set.goals, self._regions, self.dose_gy)
        hottest = hottest_gy(self._regions, self._external, self.dose_gy)
        return PlanningState(values, merit, hottest, iterations, stage)

    def enough(self) -> bool:
        """Whether the last dose meets every goal and the hot-spot limit with GROWN_ROOM."""
        state = self.state(0.0, 0, "")
        for goal, value in zip(self._goal_set.goals, state.goal_values, strict=True):
            room = 1 + GROWN_ROOM if goal.comparator is Comparator.AT_MOST else 1 - GROWN_ROOM
            if not (np.isnan(value) or goal.met_by(value * room)):
                return False
        return state.hottest_gy * (1 + GROWN_ROOM) <= hot_limit_gy(self._goal_set)
