"""The planning system of arcs, opened for a policy that looks at leaf paths and changes them itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Objectives, PlanningState
from appliance.contracts.progress import silent
from appliance.errors import PlanningError
from appliance.planning import PhotonTps
from appliance.planning.delivery_model import MU_WEIGHT
from appliance.planning.leaf_paths import legal
from appliance.planning.moving_field import FieldLimits, MovingField
from appliance.planning.moving_leaves import Evaluate, MovingLeaves
from appliance.planning.moving_vector import FieldPath, MovingVector

Array = NDArray[np.float64]
Paths = tuple[FieldPath, ...]

THIN = 4
"""Organs and targets keep one in so many of their samples, here and in training: a policy that is worth it there would
be worth it with all of them."""


def coarse_config() -> PlanningConfig:
    return PlanningConfig(technique="vmat", dose_grid_mm=6.0, beamlet_mm=5.0, algorithm="pencil_beam")


@dataclass(frozen=True, eq=False)
class Look:
    """What one evaluation of the merit says of the arcs as they stand. merit: with its price of
    monitor units; travel and order of leaves cost nothing, as the paths are legal. slopes: of it, by mm and by MU."""

    merit: float
    paths: Paths
    slopes: Paths


class ArcTps(PhotonTps):
    """Raises PlanningError for a technique without moving leaves."""

    def __init__(self, case: Case, goal_set: GoalSet, config: PlanningConfig, *, thin: int = THIN) -> None:
        super().__init__(case, goal_set, config, thin=thin)
        if not isinstance(self._delivery, MovingLeaves):
            raise PlanningError("only leaves that move while the beam is on have a path to learn")
        self.leaves: MovingLeaves = self._delivery

    @property
    def fields(self) -> tuple[MovingField, ...]:
        return self.leaves.fields

    @property
    def limits(self) -> tuple[FieldLimits, ...]:
        return self.leaves.limits

    def begin(self) -> None:
        """The first paths of the fluence that stands, before any of their evaluations."""
        self.leaves.start(self._fluence.beamlets, self.fluence_values(), silent)
        self._sequenced, self._final = True, None
        self._correction = np.zeros_like(self._correction)

    def watch(self, objectives: Objectives) -> Evaluate:
        """The optimiser's own stand-in for the merit with fewer directions, right where the arcs stand now."""
        aim = self._aim(objectives)
        return self.leaves.rough_of(aim)

    def look(self, evaluate: Evaluate) -> Look:
        """One evaluation."""
        paths = self.leaves.paths
        value, by_fluence = evaluate(self.leaves.fluence())
        vector = MovingVector(self.fields, self.limits, paths)
        packed = self.leaves.in_variables(by_fluence)
        return Look(value + MU_WEIGHT * self.leaves.mu, paths, in_mm(vector, packed, self.fields, paths))

    def place(self, paths: Paths) -> None:
        """Stands at the legal paths nearest to these. Metersets are brought within their bounds."""
        self.leaves.paths = tuple(brought_within(path, one) for path, one in zip(paths, self.limits, strict=True))
        self._final = None

    def improve(self, objectives: Objectives, evaluations: int) -> PlanningState:
        """The product's optimiser for so many evaluations, from where the arcs stand."""
        aim = self._aim(objectives)
        outcome = self.leaves.optimise(aim, silent, budget=evaluations)
        self._dose, self._final = aim.dose_gy, None
        return self._state(outcome.value, outcome.evaluations, "apertures")


def brought_within(path: FieldPath, limits: FieldLimits) -> FieldPath:
    mu = np.clip(path.mu, limits.least_mu, limits.most_mu)
    return FieldPath(*legal(path.left_mm, path.right_mm, limits.paths), mu)


def in_mm(vector: MovingVector, packed: Array, fields: tuple[MovingField, ...], paths: Paths) -> Paths:
    """A gradient in packed variables (metersets, centres and widths in the units of `vector`) as slopes by mm and MU,
    with the price of MU; pairs that are not in use have none."""
    out, position = [], 0
    for field, path, unit in zip(fields, paths, vector.units_mm, strict=True):
        shape = (len(path.left_mm), int(field.active.sum()))
        size = shape[0] * shape[1]
        by_mu = packed[position : position + field.intervals] / vector.mu_unit
        position += field.intervals
        centre = packed[position : position + size].reshape(shape) / unit
        width = packed[position + size : position + 2 * size].reshape(shape) / unit
        position += 2 * size
        left, right = np.zeros_like(path.left_mm), np.zeros_like(path.right_mm)
        left[:, field.active], right[:, field.active] = 0.5 * centre - width, 0.5 * centre + width
        out.append(FieldPath(left, right, by_mu + MU_WEIGHT))
    return tuple(out)
