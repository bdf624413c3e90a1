"""The embedded TPS made small for exploring: beamlet fluence only, on few samples and wide pixels, a few evaluations a
call. A step of a policy takes a tenth of a second here; what it finds is planned on the full one afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Objective, Objectives, PlanningState
from appliance.contracts.progress import silent
from appliance.planning.aim import Aim
from appliance.planning.dose_model import planning_raster
from appliance.planning.geometry import arrange, target_points_mm
from appliance.planning.machine import load_machine
from appliance.planning.merit import Regions, doses_at
from appliance.planning.offered import offered_objectives
from appliance.planning.sampling import sample_case
from appliance.planning.setting import setting_of
from appliance.planning.template import initial_objectives


@dataclass(frozen=True)
class Coarseness:
    """thin: organs and targets keep one in so many of the most samples. grid_mm: tissue is sampled as from this
    lattice. beamlet_mm: along the leaves; pixel_mm: of the fluence raster; reach_mm: dose further from a field's edge
    is left out. first: evaluations of the first call, which begins from open fields; further: of each later one."""

    thin: int = 4
    grid_mm: float = 8.0
    beamlet_mm: float = 5.0
    pixel_mm: float = 5.0
    reach_mm: float = 40.0
    first: int = 40
    further: int = 12


class CoarseTps:
    """Implements contracts.SteerableTps; the order of objectives in a list makes no difference. Techniques with arcs
    are explored with static beams too (chosen: what goals cost each other depends on the anatomy more than on the
    number of directions).

    Raises PlanningError for a case without a target, ModelError for unusable models."""

    def __init__(
        self, case: Case, goal_set: GoalSet, config: PlanningConfig, coarseness: Coarseness | None = None
    ) -> None:
        self.case, self.goal_set = case, goal_set
        self.coarseness = size = Coarseness() if coarseness is None else coarseness
        setting = setting_of(case, goal_set, config, load_machine(config.machine))
        self.samples = sample_case(case, size.grid_mm, thin=size.thin)
        self._regions = Regions(case, self.samples)
        arrangement = arrange(case, goal_set, setting.machine, config)
        raster = planning_raster(
            arrangement.frames, self.samples.points_mm, target_points_mm(case), beamlet_mm=size.beamlet_mm,
            pitch_mm=size.pixel_mm, reach_mm=size.reach_mm,
        )  # fmt: skip
        dose_model = setting.dose_model(arrangement.frames, self.samples.points_mm, raster)
        self._stage = setting.fluence_stage(arrangement, dose_model, size.beamlet_mm)
        self._dose: NDArray[np.float32] = np.zeros(len(self.samples.index), np.float32)
        self._none = np.zeros_like(self._dose)

    def initial_objectives(self) -> Objectives:
        return initial_objectives(self.case, self.goal_set)

    def offered_objectives(self) -> Objectives:
        return offered_objectives(self.case, self.goal_set)

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        stage, size = self._stage, self.coarseness
        aim = Aim(
            tuple(sorted(objectives, key=_order)), stage.dose_model, self._none, goal_set=self.goal_set,
            regions=self._regions, samples=self.samples, external=self.case.external.tg263,
        )  # fmt: skip
        if stage.values is None:
            start, budget = stage.start(self.goal_set, self._regions), size.first
        else:
            start, budget = stage.values, size.further
        outcome = stage.optimise(aim, start, silent, budget=budget)
        self._dose = aim.dose_gy
        return aim.state(outcome.value, outcome.evaluations, "fluence")

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return doses_at(self._regions, self._dose, structure, volumes_percent)

    def modulation(self) -> float:
        return self._stage.modulation(self.goal_set)

    def forget(self) -> None:
        self._stage.values = None


def _order(objective: Objective) -> tuple[str, str, float, float, float]:
    """Sums in one order whatever the list's, so that the optimum does not depend on it in the last digits either."""
    kind = objective.kind.value
    return objective.structure, kind, objective.dose_gy, objective.volume_percent, objective.weight
