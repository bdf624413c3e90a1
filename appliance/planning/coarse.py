"""The embedded TPS made small for exploring: beamlet fluence only, on few samples and wide pixels, a few evaluations a
call. A step of a policy takes a tenth of a second here; what it finds is planned on the full one afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Objectives, PlanningState, StructureKind
from appliance.contracts.progress import silent
from appliance.planning.aim import Aim, hottest_gy
from appliance.planning.beam_models import load_calibrated
from appliance.planning.beamlets import Beamlets
from appliance.planning.density import load_density, medium, overrides_of
from appliance.planning.dose_model import DoseModel, planning_raster
from appliance.planning.fluence_stage import FluenceStage
from appliance.planning.geometry import arrange, target_points_mm
from appliance.planning.leakage import Leakage
from appliance.planning.machine import load_machine
from appliance.planning.merit import Regions, goal_values
from appliance.planning.offered import offered_objectives
from appliance.planning.plannable import check_plannable
from appliance.planning.sampling import sample_case
from appliance.planning.template import initial_objectives
from appliance.planning.turned import as_planned
from engines.dvh import DoseVolume
from engines.sequencing import monitor_units

CGY_PER_GY = 100.0


@dataclass(frozen=True)
class Coarseness:
    """thin: organs and targets keep one in so many of the most samples. grid_mm: tissue is sampled as from this
    lattice. beamlet_mm: along the leaves; pixel_mm: of the fluence raster. first: evaluations of the first call, which
    begins from open fields; further: of each later one."""

    thin: int = 8
    grid_mm: float = 8.0
    beamlet_mm: float = 5.0
    pixel_mm: float = 5.0
    first: int = 40
    further: int = 12


class CoarseTps:
    """Implements contracts.SteerableTps. Raises PlanningError for a case without a target, ModelError for unusable
    models."""

    def __init__(
        self, case: Case, goal_set: GoalSet, config: PlanningConfig, coarseness: Coarseness | None = None
    ) -> None:
        self.case, self.goal_set = case, goal_set
        self.coarseness = size = Coarseness() if coarseness is None else coarseness
        machine = load_machine(config.machine)
        model, gy_per_mu = load_calibrated(config.beam_model)
        check_plannable(machine, config.technique, model)
        machine = as_planned(machine)
        self.samples = sample_case(case, size.grid_mm, thin=size.thin)
        self._regions = Regions(case, self.samples)
        supports = tuple(s.voxels for s in case.structures if s.kind is StructureKind.SUPPORT)
        space = medium(
            case.image, case.external.voxels, load_density(config.density), supports,
            overrides=overrides_of(case.structures, config.density_overrides),
        )  # fmt: skip
        arrangement, targets = arrange(case, goal_set, machine, config), target_points_mm(case)
        raster = planning_raster(
            arrangement.frames, self.samples.points_mm, targets, beamlet_mm=size.beamlet_mm, pitch_mm=size.pixel_mm
        )
        scale = gy_per_mu * goal_set.fractions
        dose_model = DoseModel(model, space, arrangement.frames, self.samples.points_mm, raster=raster, scale=scale)
        beamlets = Beamlets(arrangement, machine, raster, targets, size.beamlet_mm)
        behind_all = model.collimation.leaf_transmission ** len(beamlets.layers.counts)
        leakage = Leakage(beamlets, machine, behind_all)
        self._stage = FluenceStage(dose_model, beamlets, leakage, scale)
        self._dose: NDArray[np.float32] = np.zeros(len(self.samples.index), np.float32)
        self._none = np.zeros_like(self._dose)

    def initial_objectives(self) -> Objectives:
        return initial_objectives(self.case, self.goal_set)

    def offered_objectives(self) -> Objectives:
        return offered_objectives(self.case, self.goal_set)

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        stage, size = self._stage, self.coarseness
        aim = Aim(
            objectives, stage.dose_model, self._none, goal_set=self.goal_set, regions=self._regions,
            samples=self.samples, external=self.case.external.tg263,
        )  # fmt: skip
        is_first = stage.values is None
        start = stage.start(self.goal_set, self._regions) if stage.values is None else stage.values
        outcome = stage.optimise(aim, start, silent, budget=size.first if is_first else size.further)
        self._dose = aim.dose_gy
        values = goal_values(self.goal_set.goals, self._regions, self._dose)
        hottest = hottest_gy(self._regions, self.case.external.tg263, self._dose)
        return PlanningState(values, outcome.value, hottest, outcome.evaluations, "fluence")

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        found = self._regions.get(structure)
        if found is None:
            return tuple(float("nan") for _ in volumes_percent)
        volume = DoseVolume.of(np.maximum(self._dose[found[0]], np.float32(0)), found[1])
        return tuple(float(volume.dose_at_percent(v)) for v in volumes_percent)

    def modulation(self) -> float:
        values = self._stage.values
        if values is None:
            return float("nan")
        beamlets = self._stage.beamlets
        mu = sum(float(monitor_units(beamlets.map_of(beam, values))[0]) for beam in range(len(beamlets.cells)))
        highest_gy = max(dose for _, dose in self.goal_set.prescription)
        return mu / (highest_gy / self.goal_set.fractions * CGY_PER_GY)

    def forget(self) -> None:
        self._stage.values = None
