"""What stays the same while one case is planned: patient, goals, machine, beam, and what the radiation crosses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, StructureKind
from appliance.planning.beam_models import load_calibrated
from appliance.planning.beamlets import Beamlets
from appliance.planning.build_plan import PlanHead
from appliance.planning.density import load_density, medium, overrides_of
from appliance.planning.dose_model import DoseModel
from appliance.planning.fluence_stage import FluenceStage
from appliance.planning.geometry import Arrangement, target_points_mm
from appliance.planning.leakage import Leakage
from appliance.planning.machine import Machine
from appliance.planning.plannable import check_plannable
from appliance.planning.turned import as_planned
from engines.photon.beam_model import BeamModel
from engines.photon.dose import Medium
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster


@dataclass(frozen=True, eq=False)
class Setting:
    """machine: as planning sees it, with leaves along X. scale: Gy of the course for one unit of the engine."""

    case: Case
    goal_set: GoalSet
    config: PlanningConfig
    machine: Machine
    model: BeamModel
    space: Medium
    scale: float

    def dose_model(self, frames: tuple[BeamFrame, ...], points_mm: NDArray[np.float32], raster: Raster) -> DoseModel:
        return DoseModel(self.model, self.space, frames, points_mm, raster=raster, scale=self.scale)

    def fluence_stage(self, arrangement: Arrangement, dose_model: DoseModel, beamlet_mm: float) -> FluenceStage:
        """Raises PlanningError for a case without a target."""
        targets = target_points_mm(self.case)
        beamlets = Beamlets(arrangement, self.machine, dose_model.raster, targets, beamlet_mm)
        behind_all = self.model.collimation.leaf_transmission ** len(beamlets.layers.counts)
        return FluenceStage(dose_model, beamlets, Leakage(beamlets, self.machine, behind_all), self.scale)

    @property
    def head(self) -> PlanHead:
        technique = self.config.technique.upper()
        return PlanHead("ADAPTED", self.goal_set.fractions, self.case.patient_position, technique)


def setting_of(case: Case, goal_set: GoalSet, config: PlanningConfig, machine: Machine) -> Setting:
    """machine: the one that the configuration names. Raises PlanningError where it cannot deliver the technique,
    ModelError for unusable models."""
    model, gy_per_mu = load_calibrated(config.beam_model)
    check_plannable(machine, config.technique, model)
    supports = tuple(s.voxels for s in case.structures if s.kind is StructureKind.SUPPORT)
    overrides = overrides_of(case.structures, config.density_overrides)
    return Setting(
        case=case,
        goal_set=goal_set,
        config=config,
        machine=as_planned(machine),
        model=model,
        space=medium(case.image, case.external.voxels, load_density(config.density), supports, overrides=overrides),
        scale=gy_per_mu * goal_set.fractions,
    )
