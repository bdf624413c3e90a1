"""Beam arrangement of a case: angles, isocentre, frames, and where the target lies in each beam's eye view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Beam, Case, GoalSet, Plan
from appliance.contracts.collimation import leaf_turn_deg
from appliance.errors import PlanningError
from appliance.planning.machine import Machine
from engines.photon.frame import BeamFrame, beam_frame

NEAR_TARGET_MM = 30.0
"""An isocentre is taken over from an earlier plan at most so far from the targets' middle along each axis (chosen: a
field of 140 mm then stays within 100 mm of the axis, and half a leaf bank's reach is kept)."""


@dataclass(frozen=True)
class Direction:
    """Angles of the machine as planning sees it, with leaves along X; IEC 61217."""

    gantry_deg: float
    collimator_deg: float
    couch_deg: float = 0.0


@dataclass(frozen=True, eq=False)
class Arrangement:
    """isocentre in LPS mm; one frame for each direction."""

    isocentre_mm: tuple[float, float, float]
    directions: tuple[Direction, ...]
    frames: tuple[BeamFrame, ...]

    @property
    def gantry_deg(self) -> tuple[float, ...]:
        return tuple(one.gantry_deg for one in self.directions)


def arrange(case: Case, goal_set: GoalSet, machine: Machine, config: PlanningConfig) -> Arrangement:
    """Beam angles: the configuration's number if it names one, else those of the plan that is adapted, else those of
    the goal set; collimator and couch as in that plan where the machine turns them so far. Isocentre: see
    `isocentre_of`. Raises PlanningError without a target."""
    isocentre = isocentre_of(case)
    # In the order of a gantry that turns from just past 180 through 0 to 180, which it cannot cross.
    directions = sorted(
        set(_directions(case, goal_set, machine, config)),
        key=lambda one: (one.couch_deg, (one.gantry_deg - 180.0) % 360.0 or 360.0, one.collimator_deg),
    )
    frames = tuple(
        beam_frame(
            isocentre,
            one.gantry_deg,
            collimator_deg=one.collimator_deg,
            couch_deg=one.couch_deg,
            sad_mm=machine.sad_mm,
            patient_position=case.patient_position,
        )
        for one in directions
    )
    return Arrangement(isocentre, tuple(directions), frames)


def _directions(case: Case, goal_set: GoalSet, machine: Machine, config: PlanningConfig) -> list[Direction]:
    """To one decimal: what a machine can be set to and a plan can state."""
    if config.beams or not _has_static_beams(case.reference_plan):
        angles = planned_gantry_deg(case, goal_set, config)
        return [Direction(round(angle, 1) % 360.0, machine.collimator.still_deg) for angle in angles]
    return [_as_before(beam, machine) for beam in case.reference_plan.beams]


def _as_before(beam: Beam, machine: Machine) -> Direction:
    first = beam.control_points[0]
    collimator, couch = round((first.collimator_deg + leaf_turn_deg(beam)) % 360.0, 1), round(first.couch_deg, 1)
    return Direction(
        round(first.gantry_deg, 1) % 360.0,
        collimator if machine.collimator.reaches(collimator) else machine.collimator.still_deg,
        couch if machine.couch.reaches(couch) else 0.0,
    )


def planned_gantry_deg(case: Case, goal_set: GoalSet, config: PlanningConfig) -> list[float]:
    """IEC 61217, in any order: where static beams come from (see `arrange`). Of a plan with arcs none are taken over:
    what arcs deliver comes from all around."""
    if config.beams:
        return [i * 360.0 / config.beams for i in range(config.beams)]
    if _has_static_beams(case.reference_plan):
        return [beam.gantry_deg for beam in case.reference_plan.beams]
    return [(goal_set.first_gantry_deg + i * 360.0 / goal_set.beams) % 360.0 for i in range(goal_set.beams)]


def _has_static_beams(plan: Plan | None) -> TypeGuard[Plan]:
    """A plan, and none of its beams is an arc."""
    return plan is not None and all(
        point.gantry_deg == beam.gantry_deg for beam in plan.beams for point in beam.control_points
    )


def isocentre_of(case: Case) -> tuple[float, float, float]:
    """LPS mm: the middle of the targets' bounding box, to 0.1 mm. Where today's anatomy was found, that of the plan
    that is adapted: the table shift then brings the patient to either plan; but only within NEAR_TARGET_MM of that
    middle, for fields that reach the target from there. Raises PlanningError without a target."""
    middle = _middle_of(target_points_mm(case))
    if case.reference_plan is None or case.target_shift_mm is None:
        return middle
    planned = {beam.isocentre_mm for beam in case.reference_plan.beams}
    if len(planned) == 1 and max(abs(a - b) for a, b in zip(*planned, middle, strict=True)) <= NEAR_TARGET_MM:
        return planned.pop()
    return middle


def _middle_of(points: NDArray[np.float32]) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 1) for value in (points.min(axis=0) + points.max(axis=0)) / 2)
    return x, y, z


def target_points_mm(case: Case) -> NDArray[np.float32]:
    """Voxel centres (n, 3) of all targets together."""
    parts = [case.image.grid.centres_mm(s.voxels.index) for s in case.targets if not s.voxels.empty]
    if not parts:
        raise PlanningError("the case has no target; contour at least one PTV")
    return np.concatenate(parts)
