"""VMAT and sliding window: leaf paths and metersets of every control point, optimised through the dose.

Direct aperture optimisation of arcs: Otto, Med Phys 35:310 (2008); with exact leaf gradients: Bzdusek et al., Med Phys
36:2328 (2009). See docs/vmat.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Plan
from appliance.contracts.progress import Progress
from appliance.planning.aim import Aim
from appliance.planning.beamlets import Beamlets
from appliance.planning.build_moving import build_moving_plan
from appliance.planning.build_plan import PlanHead
from appliance.planning.delivery_model import MERIT_SCALE, MU_WEIGHT, REFINE_TOLERANCE, SETTLE_BUDGET
from appliance.planning.dose_model import DoseModel
from appliance.planning.leaf_layers import leaf_layers
from appliance.planning.leaf_paths import legal
from appliance.planning.machine import Machine
from appliance.planning.moved_paths import moved_paths, why_not_paths
from appliance.planning.moving_arrays import arrays_of, from_arrays
from appliance.planning.moving_field import FieldLimits, MovingField, trajectory, with_jaw_slopes
from appliance.planning.moving_vector import FieldPath, MovingVector
from appliance.planning.old_beams import Move
from appliance.planning.timing import SECONDS_PER_MINUTE
from appliance.planning.turned import as_delivered
from engines.optimise import Outcome, minimise
from engines.photon.beam_model import Collimation
from engines.photon.moving import MovingFluence

DEVELOP_BUDGETS = (30, 30, 60, 90)
"""Evaluations of the rounds of the first optimisation, each of which ends on a legal path: what a projection costs is
then won back before the next."""
MOVING_BUDGET = 90
"""Evaluations of one `refine`."""
TRAVEL_WEIGHT = 0.02
"""Merit of a square millimetre of travel or order broken, while optimising (chosen: leaves then end within a few tenths
of a millimetre of a legal path, and the curvature stays below that of the dose)."""
SECOND_WEIGHT = 0.05
"""Merit of a second of beam-on time beyond that of the fastest gantry (chosen: a goal missed by 0.1 Gy outweighs a
minute)."""

Start = tuple[tuple[FieldPath, ...], tuple[FieldLimits, ...]]


Evaluate = Callable[[NDArray[np.float32]], tuple[float, NDArray[np.float32]]]
"""(merit, gradient in the fluence) of a fluence (directions, nv, nu)."""


Rough = Callable[[Aim, NDArray[np.float32]], Evaluate]
"""Makes a stand-in of an aim that is right at a fluence."""


class Starter(Protocol):
    """Legal first paths, and the limits they were made for, from beamlet fluence."""

    def __call__(self, beamlets: Beamlets, values: NDArray[np.float64]) -> Start: ...

    def limits(self, field: MovingField, mu: NDArray[np.float64]) -> FieldLimits:
        """Of a path whose intervals have so many MU."""
        ...


class MovingLeaves:
    """Implements delivery.Delivery."""

    def __init__(
        self, fields: tuple[MovingField, ...], dose_model: DoseModel, machine: Machine, starter: Starter, *,
        collimation: Collimation, head: PlanHead, rough: Rough | None = None,
    ) -> None:  # fmt: skip
        """rough: makes faster stand-ins for an aim."""
        self.dose_model, self.fields = dose_model, fields
        self._machine, self._starter, self._head = machine, starter, head
        self._rough = rough
        layers = leaf_layers(machine).borders_mm
        self._drawers = [
            MovingFluence(dose_model.raster, layers, collimation, y_mm=f.y_mm, active=f.active) for f in fields
        ]
        self.paths: tuple[FieldPath, ...] = ()
        self.limits: tuple[FieldLimits, ...] = ()

    @property
    def ready(self) -> bool:
        return bool(self.paths)

    def start(self, beamlets: Beamlets, values: NDArray[np.float64], progress: Progress) -> None:
        progress("sequencing", 0.0)
        self.paths, self.limits = self._starter(beamlets, values)

    def stand_at(self, plan: Plan, beamlets: Beamlets, shift_mm: Move, mu_factor: float) -> str:
        """See delivery_model.Delivery."""
        if why := why_not_paths(plan, self.fields, self._machine):
            return why
        self.paths, self.limits = moved_paths(
            plan, self.fields, self._machine, self._starter.limits, shift_mm=shift_mm, mu_factor=mu_factor
        )
        return ""

    def develop(self, aim: Aim, progress: Progress) -> Outcome:
        for budget in DEVELOP_BUDGETS:
            outcome = self.optimise(aim, progress, budget=budget)
            if aim.enough():
                break
        return outcome

    def settle(self, aim: Aim, progress: Progress) -> Outcome:
        return self.optimise(aim, progress, budget=SETTLE_BUDGET)

    def refine(self, aim: Aim, progress: Progress) -> Outcome:
        return self.optimise(aim, progress, budget=MOVING_BUDGET)

    def fluence(self) -> NDArray[np.float32]:
        return self._drawn(self.paths)

    def in_variables(self, by_fluence: NDArray[np.float32]) -> NDArray[np.float64]:
        vector = MovingVector(self.fields, self.limits, self.paths)
        return vector.gradient(self.paths, self._slopes(self.paths, by_fluence))

    @property
    def mu(self) -> float:
        return float(sum(path.mu.sum() for path in self.paths))

    def remember(self) -> Callable[[], None]:
        paths, limits = self.paths, self.limits

        def back() -> None:
            self.paths, self.limits = paths, limits

        return back

    def scale(self, factor: float) -> None:
        self.paths = tuple(FieldPath(p.left_mm, p.right_mm, p.mu * factor) for p in self.paths)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return arrays_of(self.paths, self.limits)

    def restore(self, beamlets: Beamlets, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.paths, self.limits = from_arrays(self.fields, arrays)

    def plan(self) -> Plan:
        return as_delivered(build_moving_plan(self.fields, self.paths, self._machine, head=self._head), self._machine)

    def _drawn(self, paths: tuple[FieldPath, ...]) -> NDArray[np.float32]:
        raster = self.dose_model.raster
        fluence = np.zeros((len(self.dose_model.frames), raster.nv, raster.nu), np.float32)
        for field, drawer, path in zip(self.fields, self._drawers, paths, strict=True):
            intervals = drawer.forward(trajectory(path.left_mm, path.right_mm, path.mu, field, self._machine))
            which, first = np.unique(field.directions, return_index=True)
            fluence[which] += (
                intervals if len(which) == len(first) == len(intervals) else np.add.reduceat(intervals, first)
            )
        return fluence

    def _slopes(self, paths: tuple[FieldPath, ...], by_fluence: NDArray[np.float32]) -> list[FieldPath]:
        slopes = []
        for field, drawer, path in zip(self.fields, self._drawers, paths, strict=True):
            moving = trajectory(path.left_mm, path.right_mm, path.mu, field, self._machine)
            slope = drawer.adjoint(moving, by_fluence[field.directions])
            slope = with_jaw_slopes(slope, moving, field, self._machine)
            slopes.append(FieldPath(slope.left_mm, slope.right_mm, slope.mu))
        return slopes

    def _seconds(self, path: FieldPath, field: MovingField) -> tuple[float, NDArray[np.float64]]:
        """(squared seconds, slope) of beam-on time beyond what the gantry takes anyway, summed over intervals."""
        rate = self._machine.dose_rate.maximum_mu_min / SECONDS_PER_MINUTE
        free = abs(field.turn_deg) / self._machine.gantry.speed_deg_s
        over = np.maximum(path.mu / rate - free, 0.0)
        return float(over.sum()), (over > 0) / rate

    def rough_of(self, aim: Aim) -> Evaluate:
        """The stand-in of an aim that is right at the present paths; without one, the aim."""
        return self._rough(aim, self.fluence()) if self._rough else aim

    def optimise(self, aim: Aim, progress: Progress, *, budget: int) -> Outcome:
        """On the stand-in where there is one; the dose of `aim` afterwards is its own, of the legal paths."""
        merit_of = self.rough_of(aim)
        vector = MovingVector(self.fields, self.limits, self.paths)
        start, lower, upper = vector.pack()

        def value_at(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            paths = vector.unpack(x)
            value, by_fluence = merit_of(self._drawn(paths))
            broken, mends = vector.penalty(paths)
            value += TRAVEL_WEIGHT * broken
            slopes = []
            for field, path, own, mend in zip(self.fields, paths, self._slopes(paths, by_fluence), mends, strict=True):
                seconds, by_mu = self._seconds(path, field)
                value += SECOND_WEIGHT * seconds + MU_WEIGHT * float(path.mu.sum())
                left, right = own.left_mm + TRAVEL_WEIGHT * mend.left_mm, own.right_mm + TRAVEL_WEIGHT * mend.right_mm
                slopes.append(FieldPath(left, right, own.mu + SECOND_WEIGHT * by_mu + MU_WEIGHT))
            return value, vector.gradient(paths, slopes)

        outcome = minimise(
            value_at, start, lower=lower, upper=upper, tolerance=REFINE_TOLERANCE, scale=MERIT_SCALE, budget=budget,
            on_iteration=lambda i, _: progress("apertures", min(1.0, i / budget)),
        )  # fmt: skip
        self.paths = self._legal(vector.unpack(outcome.x))
        aim.dose_gy = aim.dose_of(self.fluence())
        return outcome

    def _legal(self, paths: tuple[FieldPath, ...]) -> tuple[FieldPath, ...]:
        return tuple(
            FieldPath(*legal(path.left_mm, path.right_mm, limits.paths), path.mu)
            for path, limits in zip(paths, self.limits, strict=True)
        )
