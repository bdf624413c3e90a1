"""Step-and-shoot: still apertures from fixed directions, sequenced from the fluence, then grown by their price."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Plan
from appliance.contracts.progress import Progress
from appliance.errors import PlanningError
from appliance.planning.aim import Aim
from appliance.planning.beamlets import Beamlets
from appliance.planning.build_plan import PlanHead, build_plan
from appliance.planning.delivery_model import (
    MERIT_SCALE,
    MU_ROOM,
    MU_WEIGHT,
    REFINE_BUDGET,
    REFINE_TOLERANCE,
    SETTLE_BUDGET,
)
from appliance.planning.dose_model import DoseModel
from appliance.planning.geometry import Arrangement
from appliance.planning.leaf_layers import leaf_layers
from appliance.planning.machine import Machine
from appliance.planning.moved_apertures import moved_segments, why_not_apertures
from appliance.planning.old_beams import Move, old_beams
from appliance.planning.segments import (
    BeamSegments,
    SegmentVector,
    arrays_of,
    from_arrays,
    priced,
    prune,
    scaled,
    sequence_beam,
)
from appliance.planning.turned import as_delivered
from engines.optimise import Outcome, minimise
from engines.photon.aperture import ApertureFluence
from engines.photon.beam_model import Collimation

SEQUENCED_SHARE = 0.65
"""This share of a beam's apertures comes from sequencing its fluence; the rest grows one by one where the merit's
gradient asks for it."""
GROWTHS, GROW_BUDGET, NEW_SHARE = 4, 40, 0.2
"""Growths of one aperture a beam, evaluations between them, and the first MU of a new aperture in units of the mean
aperture (chosen: more growths with fewer evaluations each ended at a higher merit for the same time)."""
MOST_PARTS = 2
"""Most parts of a wide field that get apertures of their own (chosen: OpenKBP 54, 320 mm wide, then keeps the coverage
that its fluence has; every aperture costs time at the machine)."""
MORE_EVALUATIONS = 2.0
"""Evaluations more for each share of apertures more that the widest field gets (chosen: with three times the
evaluations OpenKBP 54 met both coverage goals and the hot-spot limit, with the usual number and 1.8 times neither)."""
DEAD_MU = 0.5
"""Apertures that the optimiser has driven below this make room for new ones."""


def apertures_of(beamlets: Beamlets, beam: int, machine: Machine, usual: int) -> int:
    """Apertures that a beam may have: of a field as wide as two spans of a bank, each covers a part only."""
    parts = round(beamlets.field_mm(beam) / machine.mlc.bank_span_max_mm)
    return usual * min(max(parts, 1), MOST_PARTS)


class StepAndShoot:
    """Implements delivery.Delivery."""

    def __init__(
        self, arrangement: Arrangement, dose_model: DoseModel, machine: Machine, config: PlanningConfig, *,
        collimation: Collimation, head: PlanHead,
    ) -> None:  # fmt: skip
        self.dose_model = dose_model
        self._arrangement, self._machine, self._config, self._head = arrangement, machine, config, head
        self._layers = leaf_layers(machine)
        self._drawer = ApertureFluence(dose_model.raster, self._layers.borders_mm, collimation)
        self._segments: tuple[BeamSegments, ...] = ()
        self._beamlets: Beamlets | None = None
        self._effort = 1.0

    @property
    def ready(self) -> bool:
        return bool(self._segments)

    def start(self, beamlets: Beamlets, values: NDArray[np.float64], progress: Progress) -> None:
        beams = []
        for beam in range(len(self._arrangement.frames)):
            progress("sequencing", beam / len(self._arrangement.frames))
            first = max(1, round(self._most(beamlets, beam) * SEQUENCED_SHARE))
            beams.append(sequence_beam(beamlets, beam, values, self._machine, first))
        self._take(tuple(beams), beamlets)

    def stand_at(self, plan: Plan, beamlets: Beamlets, shift_mm: Move, mu_factor: float) -> str:
        """See delivery_model.Delivery."""
        beams, frames = old_beams(plan), self._arrangement.frames
        if why := why_not_apertures(beams, frames, self._machine):
            return why
        moved = moved_segments(
            beams, frames, beamlets, self._machine, shift_mm=shift_mm, mu_factor=mu_factor,
            minimum_mu=self._machine.dose_rate.minimum_segment_mu,
        )  # fmt: skip
        if not any(len(beam.apertures.mu) for beam in moved):
            return "none of its apertures faces today's target"
        self._take(moved, beamlets)
        return ""

    def _take(self, beams: tuple[BeamSegments, ...], beamlets: Beamlets) -> None:
        self._segments, self._beamlets = beams, beamlets
        most = max(self._most(beamlets, beam) for beam in range(len(beams)))
        self._effort = 1.0 + MORE_EVALUATIONS * (most / self._config.segments_per_beam - 1.0)

    def _most(self, beamlets: Beamlets, beam: int) -> int:
        return apertures_of(beamlets, beam, self._machine, self._config.segments_per_beam)

    def develop(self, aim: Aim, progress: Progress) -> Outcome:
        self._optimise(aim, progress, minimum_mu=0.0, budget=GROW_BUDGET)
        for _ in range(GROWTHS):
            self._prune(DEAD_MU)
            if aim.enough() or not self._grow(aim):
                break
            self._optimise(aim, progress, minimum_mu=0.0, budget=GROW_BUDGET)
        self._prune(self._machine.dose_rate.minimum_segment_mu)
        return self.refine(aim, progress)

    def settle(self, aim: Aim, progress: Progress) -> Outcome:
        self._prune(self._machine.dose_rate.minimum_segment_mu)
        return self._optimise(aim, progress, minimum_mu=self._least_mu, budget=SETTLE_BUDGET)

    def refine(self, aim: Aim, progress: Progress) -> Outcome:
        return self._optimise(aim, progress, minimum_mu=self._least_mu, budget=REFINE_BUDGET)

    @property
    def _least_mu(self) -> float:
        return self._machine.dose_rate.minimum_segment_mu * MU_ROOM

    def fluence(self) -> NDArray[np.float32]:
        return self._drawn(self._segments)

    def _drawn(self, beams: tuple[BeamSegments, ...]) -> NDArray[np.float32]:
        return self._drawer.draw([beam.apertures for beam in beams]).fluence()

    def in_variables(self, by_fluence: NDArray[np.float32]) -> NDArray[np.float64]:
        vector = SegmentVector(self._segments, self._machine, 0.0)
        parts = self._drawer.draw([beam.apertures for beam in self._segments]).adjoint(by_fluence)
        return vector.gradient(self._segments, parts)

    @property
    def mu(self) -> float:
        return float(sum(beam.apertures.mu.sum() for beam in self._segments))

    def remember(self) -> Callable[[], None]:
        segments = self._segments

        def back() -> None:
            self._segments = segments

        return back

    def scale(self, factor: float) -> None:
        self._segments = tuple(scaled(beam, factor) for beam in self._segments)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return arrays_of(self._segments)

    def restore(self, beamlets: Beamlets, arrays: Mapping[str, NDArray[Any]]) -> None:
        beams = from_arrays(arrays)
        if len(beams) != len(self._arrangement.frames) or beams[0].apertures.left_mm.shape[1] != self._layers.pairs:
            raise ValueError("apertures of other beams or another collimator")
        self._take(beams, beamlets)

    def plan(self) -> Plan:
        plan = build_plan(self._arrangement, self._segments, self._machine, head=self._head)
        return as_delivered(plan, self._machine)

    def _prune(self, minimum_mu: float) -> None:
        pruned = tuple(prune(beam, minimum_mu) for beam in self._segments)
        if not any(len(beam.apertures.mu) for beam in pruned):
            raise PlanningError(
                f"no aperture would deliver {minimum_mu:g} MU or more; the dose of a fraction is too small for so many "
                "beams and segments"
            )
        self._segments = pruned

    def _grow(self, aim: Aim) -> bool:
        """One more aperture for every beam that may have one; false when all are full."""
        if self._beamlets is None:
            return False
        _, slope = aim.merit(aim.dose_gy)
        by_fluence = self.dose_model.adjoint(slope)
        mean_mu = float(np.concatenate([b.apertures.mu for b in self._segments]).mean())
        grown = False
        beams = []
        for number, (beam, gradient) in enumerate(zip(self._segments, by_fluence, strict=True)):
            price = self._drawer.row_gradient(gradient) * self._beamlets.rows_of(number)[:, None]
            room = len(beam.apertures.mu) < self._most(self._beamlets, number)
            raster = self.dose_model.raster
            beams.append(
                priced(beam, price, raster, NEW_SHARE * mean_mu, machine=self._machine, layers=self._layers)
                if room
                else beam
            )
            grown = grown or len(beams[-1].apertures.mu) > len(beam.apertures.mu)
        self._segments = tuple(beams)
        return grown

    def _optimise(self, aim: Aim, progress: Progress, *, minimum_mu: float, budget: int) -> Outcome:
        vector = SegmentVector(self._segments, self._machine, minimum_mu)
        start, lower, upper = vector.pack()
        most = round(budget * self._effort)

        def evaluate(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            beams = vector.unpack(x)
            drawn = self._drawer.draw([beam.apertures for beam in beams])
            value, by_fluence = aim(drawn.fluence())
            slopes = [replace(part, mu=part.mu + MU_WEIGHT) for part in drawn.adjoint(by_fluence)]
            value += MU_WEIGHT * sum(float(beam.apertures.mu.sum()) for beam in beams)
            return value, vector.gradient(beams, slopes)

        outcome = minimise(
            evaluate, start, lower=lower, upper=upper, tolerance=REFINE_TOLERANCE, scale=MERIT_SCALE, budget=most,
            on_iteration=lambda i, _: progress("apertures", min(1.0, i / most)),
        )  # fmt: skip
        self._segments = vector.unpack(outcome.x)
        aim.dose_gy = aim.dose_of(self.fluence())
        return outcome
