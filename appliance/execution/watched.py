"""A planning system behind a watch: the same calls, none of which can hold planning up for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import (
    CalculatedDose,
    CanBeQuick,
    CanFollow,
    CanImitate,
    CanResume,
    CanTakeFluence,
    Followed,
    GoalConflict,
    Objectives,
    Plan,
    PlanningState,
    ReferenceStart,
    SteerableTps,
    TreatmentPlanningSystem,
    Working,
)
from appliance.errors import PlanningError
from appliance.execution.watch import Watch

Result = TypeVar("Result")


class WatchedTps:
    """Implements contracts.TreatmentPlanningSystem."""

    def __init__(self, tps: TreatmentPlanningSystem, watch: Watch) -> None:
        self._tps, self.watch = tps, watch

    def _work(self, what: str, call: Callable[[], Result]) -> Result:
        """What takes long is not begun when time is up."""
        self.watch.check_time()
        return self.watch(what, call)

    def initial_objectives(self) -> Objectives:
        return self.watch("the template", self._tps.initial_objectives)

    def resume(self, working: Working, final: tuple[Plan, CalculatedDose]) -> PlanningState:
        """Raises PlanningError for a planning system that cannot."""
        tps = self._tps
        if not isinstance(tps, CanResume):
            raise PlanningError("this planning system cannot go on from a plan that it made before")
        return self.watch("taking up the plan in review", lambda: tps.resume(working, final))

    def follow(self, start: ReferenceStart) -> Followed:
        """Implements contracts.CanFollow. Raises PlanningError for a planning system that cannot."""
        tps = self._tps
        if not isinstance(tps, CanFollow):
            raise PlanningError("this planning system cannot begin at a plan that was made elsewhere")
        return self.watch("taking up the plan that is adapted", lambda: tps.follow(start))

    def take_fluence(self, values: NDArray[np.floating]) -> PlanningState:
        """Implements contracts.CanTakeFluence. Raises PlanningError for a planning system that cannot."""
        tps = self._tps
        if not isinstance(tps, CanTakeFluence):
            raise PlanningError("this planning system cannot take a fluence that was found elsewhere")
        return self.watch("taking a fluence", lambda: tps.take_fluence(values))

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        return self._work("optimising the fluence", lambda: self._tps.optimise_fluence(objectives))

    def sequence(self, objectives: Objectives) -> PlanningState:
        return self._work("sequencing", lambda: self._tps.sequence(objectives))

    def sequence_quickly(self, objectives: Objectives) -> PlanningState:
        """Implements contracts.CanBeQuick: the usual way where the planning system has no quick one."""
        tps = self._tps
        quickly = tps.sequence_quickly if isinstance(tps, CanBeQuick) else tps.sequence
        return self._work("sequencing quickly", lambda: quickly(objectives))

    def refine(self, objectives: Objectives) -> PlanningState:
        return self._work("refining the apertures", lambda: self._tps.refine(objectives))

    def normalise(self, factor: float) -> PlanningState:
        return self.watch("scaling monitor units", lambda: self._tps.normalise(factor))

    def judge(self) -> PlanningState:
        """What it takes is kept back of a budget from then on, for a last one; one that began in time may use it."""
        self.watch.check_time()
        deadline = self.watch.deadline
        began_s, reserve_s, deadline.reserve_s = deadline.seconds, deadline.reserve_s, 0.0
        try:
            state = self.watch("the full dose", self._tps.judge)
        finally:
            deadline.reserve_s = reserve_s
        deadline.reserve_s = max(reserve_s, deadline.seconds - began_s)
        return state

    def conflicts(self, objectives: Objectives) -> tuple[GoalConflict, ...]:
        return self.watch("looking for what conflicts", lambda: self._tps.conflicts(objectives))

    def remember(self) -> Callable[[], PlanningState]:
        back = self.watch("remembering a plan", self._tps.remember)
        return lambda: self.watch("going back to a plan", back)

    def finish(self) -> tuple[Plan, CalculatedDose]:
        return self.watch("the final dose", self._tps.finish)


class WatchedImitatingTps(WatchedTps):
    """Implements contracts.CanImitate too."""

    def __init__(self, tps: TreatmentPlanningSystem, imitating: CanImitate, watch: Watch) -> None:
        super().__init__(tps, watch)
        self._imitating = imitating

    def imitate(self, dose_gy: NDArray[np.float32]) -> PlanningState:
        return self._work("imitating the predicted dose", lambda: self._imitating.imitate(dose_gy))


def watched(tps: TreatmentPlanningSystem, watch: Watch) -> WatchedTps:
    """It can imitate a dose if the planning system itself can."""
    return WatchedImitatingTps(tps, tps, watch) if isinstance(tps, CanImitate) else WatchedTps(tps, watch)


class WatchedSteerableTps:
    """Implements contracts.SteerableTps."""

    def __init__(self, tps: SteerableTps, watch: Watch) -> None:
        self._tps, self._watch = tps, watch

    def initial_objectives(self) -> Objectives:
        return self._watch("the template", self._tps.initial_objectives)

    def offered_objectives(self) -> Objectives:
        return self._watch("what may be added", self._tps.offered_objectives)

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        return self._watch("exploring", lambda: self._tps.optimise_fluence(objectives))

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return self._watch("reading a histogram", lambda: self._tps.doses_at(structure, volumes_percent))

    def modulation(self) -> float:
        return self._watch("reading the modulation", self._tps.modulation)

    def forget(self) -> None:
        self._watch("beginning anew", self._tps.forget)
