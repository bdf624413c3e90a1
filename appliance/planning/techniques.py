"""From the configured technique to its directions, its fluence stage and its delivery model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.progress import Progress
from appliance.planning.arc_start import ArcStarter, arc_fields
from appliance.planning.arcs import arc_sectors, plan_arcs
from appliance.planning.coarse_arc import CoarseArcs
from appliance.planning.delivery_model import Delivery
from appliance.planning.dose_model import DoseModel, planning_raster
from appliance.planning.fluence_stage import FluenceStage
from appliance.planning.geometry import Arrangement, arrange, target_points_mm
from appliance.planning.moving_field import MovingField
from appliance.planning.moving_leaves import MovingLeaves, Rough, Starter
from appliance.planning.setting import Setting
from appliance.planning.sliding_start import SlidingStarter, sliding_fields
from appliance.planning.step_and_shoot import StepAndShoot

Technique = tuple[Arrangement, FluenceStage, Delivery]


def technique_of(setting: Setting, points_mm: NDArray[np.float32], progress: Progress) -> Technique:
    """points_mm: the samples. Raises PlanningError without a target."""
    if setting.config.technique == "vmat":
        return _vmat(setting, points_mm, progress)
    return _static(setting, points_mm, progress)


def _static(setting: Setting, points_mm: NDArray[np.float32], progress: Progress) -> Technique:
    arrangement = arrange(setting.case, setting.goal_set, setting.machine, setting.config)
    targets = target_points_mm(setting.case)
    raster = planning_raster(arrangement.frames, points_mm, targets, beamlet_mm=setting.config.beamlet_mm)
    dose_model = setting.dose_model(arrangement.frames, points_mm, raster)
    stage = setting.fluence_stage(arrangement, dose_model, setting.config.beamlet_mm)
    if setting.config.technique == "sliding_window":
        fields = sliding_fields(arrangement, stage.beamlets, setting.machine)
        return arrangement, stage, _moving(setting, fields, dose_model, SlidingStarter(fields, setting.machine))
    delivery = StepAndShoot(
        arrangement, dose_model, setting.machine, setting.config, collimation=setting.model.collimation,
        head=setting.head,
    )  # fmt: skip
    return arrangement, stage, delivery


def _vmat(setting: Setting, points_mm: NDArray[np.float32], progress: Progress) -> Technique:
    spared = tuple(dict.fromkeys(goal.structure for goal in setting.goal_set.goals))
    arcs = plan_arcs(setting.case, setting.machine, setting.config, spared)
    arrangement, sectors = arc_sectors(setting.case, setting.machine, arcs)
    targets = target_points_mm(setting.case)
    frames = tuple(frame for arc in arcs for frame in arc.frames)
    raster = planning_raster(frames, points_mm, targets, beamlet_mm=setting.config.beamlet_mm)
    ideal = setting.dose_model(arrangement.frames, points_mm, raster)
    stage = setting.fluence_stage(arrangement, ideal, setting.config.beamlet_mm)
    progress("geometry", 0.2)
    dose_model = setting.dose_model(frames, points_mm, raster)
    fields = arc_fields(arcs, sectors, arrangement, stage.beamlets, setting.machine)
    rough = CoarseArcs(arcs, lambda some, points: setting.dose_model(some, points, raster))
    starter = ArcStarter(fields, sectors, setting.machine)
    return arrangement, stage, _moving(setting, fields, dose_model, starter, rough)


def _moving(
    setting: Setting, fields: tuple[MovingField, ...], dose_model: DoseModel, starter: Starter,
    rough: Rough | None = None,
) -> MovingLeaves:  # fmt: skip
    return MovingLeaves(
        fields, dose_model, setting.machine, starter, collimation=setting.model.collimation, head=setting.head,
        rough=rough,
    )  # fmt: skip
