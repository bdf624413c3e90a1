"""A planning system's state out and in again: what a restart or a revision goes on from, warm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import CalculatedDose, Case, GoalSet, Objectives, Plan, PlanningState, Working
from appliance.errors import PlanningError
from appliance.planning.aim import corrected
from appliance.planning.delivery_model import Delivery
from appliance.planning.fluence_stage import FluenceStage
from appliance.planning.merit import Regions
from appliance.planning.sampling import Samples

DELIVERY = "delivery_"


class Resuming:
    """A part of PhotonTps."""

    case: Case
    goal_set: GoalSet
    samples: Samples
    _fluence: FluenceStage
    _delivery: Delivery
    _regions: Regions
    _dose: NDArray[np.float32]
    _correction: NDArray[np.float32]
    _final: tuple[Plan, CalculatedDose] | None
    _objectives: Objectives
    _sequenced: bool

    def working(self) -> Working:
        """Everything that `resume` needs to go on from the plan as it stands. Raises PlanningError before there is
        one."""
        if not self._sequenced or self._fluence.values is None:
            raise PlanningError("there is no plan to go on from")
        arrays: dict[str, NDArray[Any]] = {"fluence": self._fluence.values, "correction": self._correction}
        arrays |= {f"samples_{name}": array for name, array in self.samples.arrays().items()}
        arrays |= {f"{DELIVERY}{name}": array for name, array in self._delivery.arrays().items()}
        goals = tuple(goal.key for goal in self.goal_set.goals)
        return Working(self._delivery.plan().technique, goals, self._objectives, arrays)

    def stands_at(self, plan: Plan) -> bool:
        """Whether `working` is that of this plan; not where the system failed or was given up before it went back."""
        return self._sequenced and self._delivery.plan().digest == plan.digest

    def resume(self, working: Working, final: tuple[Plan, CalculatedDose] | None = None) -> PlanningState:
        """Stands where the system that `working` is of stood. final: its plan and dose, which are not calculated again.
        Raises PlanningError for the state of another case, beam arrangement, machine or technique."""
        arrays = dict(working.arrays)
        delivery = {name[len(DELIVERY) :]: array for name, array in arrays.items() if name.startswith(DELIVERY)}
        try:
            self._restore_samples(arrays)
            if arrays["fluence"].shape != (self._fluence.beamlets.variables,):
                raise ValueError("fluence of other beams")
            self._delivery.restore(self._fluence.beamlets, delivery)
        except (KeyError, ValueError, IndexError) as error:
            raise PlanningError(f"the kept state of planning does not fit this case ({error})") from error
        self._fluence.values, self._sequenced, self._objectives = arrays["fluence"], True, working.objectives
        self._correction, self._final = arrays["correction"], None
        plan = self._delivery.plan()
        if working.technique != plan.technique:
            raise PlanningError(f"the kept state of planning is of {working.technique}, not of {plan.technique}")
        if final is not None:
            if final[0].digest != plan.digest:
                raise PlanningError("the kept state of planning is of another plan than the one in review")
            self._final = final
        self._dose = corrected(self._delivery.dose_model, self._delivery.fluence(), self._correction)
        return self._state(float("nan"), 0, "resumed")

    def _restore_samples(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Those of the kept state: one's own and what was added to them while planning."""
        wanted = self.samples.restored({name: arrays[f"samples_{name}"] for name in self.samples.arrays()})
        own = self.samples.index
        new = np.setdiff1d(wanted.index, own)
        if len(own) + len(new) != len(wanted.index) or len(arrays["correction"]) != len(wanted.index):
            raise ValueError("samples of another case")
        if new.size:
            order = np.argsort(np.concatenate([own, new]), kind="stable")
            self._add_points(self.case.image.grid.centres_mm(new), order)
        self.samples, self._regions = wanted, Regions(self.case, wanted)

    def _add_points(self, points_mm: NDArray[np.float32], order: NDArray[np.int64]) -> None:
        self._delivery.dose_model.add(points_mm, order)
        if self._fluence.dose_model is not self._delivery.dose_model:
            self._fluence.dose_model.add(points_mm, order)

    def _state(self, merit: float, iterations: int, stage: str) -> PlanningState:
        raise NotImplementedError
