"""The embedded treatment planning system: one case, operated through `contracts.TreatmentPlanningSystem`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import (
    CalculatedDose,
    Case,
    Comparator,
    GoalSet,
    Objectives,
    Plan,
    PlanningState,
    StructureKind,
)
from appliance.contracts.progress import Progress, silent
from appliance.errors import PlanningError
from appliance.planning.beam_models import load_calibrated
from appliance.planning.beamlets import Beamlets
from appliance.planning.build_plan import build_plan
from appliance.planning.compute import backend
from appliance.planning.density import load_density, medium
from appliance.planning.final_dose import FinalDose
from appliance.planning.geometry import arrange, target_points_mm
from appliance.planning.leakage import Leakage
from appliance.planning.machine import load_machine
from appliance.planning.merit import FullGrid, Merit, Regions, RegionSource, goal_values
from appliance.planning.sampling import sample_case
from appliance.planning.segments import BeamSegments, SegmentVector, priced, prune, scaled, sequence_beam
from appliance.planning.template import initial_objectives
from engines.dvh import dose_at_volume
from engines.optimise import minimise
from engines.photon.aperture import ApertureFluence
from engines.photon.backend.protocol import Exposure
from engines.photon.dose import projected_extent
from engines.photon.raster import raster_for

HOT_VOLUME_CC = 0.1
OPTIMISER_PITCH_MM = 2.5
OPTIMISER_REACH_MM = 60.0
"""The optimiser leaves out dose further than this from a field's edge (nine open fields on an OpenKBP patient: 1.8 % of
the maximum at worst, 0.2 % root mean square; 100 mm took 15 % longer to the same goals). The final dose has no such
cut, and what it differs by is added from the first `judge` on."""
SMOOTHNESS = 0.02
"""Weight of the mean squared dose-like step between neighbouring beamlets (chosen: halves the sequencing loss on the
built-in cases at no visible cost in the fluence optimum)."""
FLUENCE_BUDGET, REFINE_BUDGET = 80, 40
"""Evaluations of one call; both stop earlier by their tolerance and are warm-started by the next call."""
SEQUENCED_SHARE = 0.65
"""This share of a beam's apertures comes from sequencing its fluence; the rest grows one by one where the merit's
gradient asks for it."""
GROWTHS, GROW_BUDGET, NEW_SHARE = 4, 40, 0.2
"""Growths of one aperture a beam, evaluations between them, and the first MU of a new aperture in units of the mean
aperture (chosen: more growths with fewer evaluations each ended at a higher merit for the same time)."""
GROWN_ROOM = 0.005
"""Growth ends when all goals are met with this room (chosen: 0.5 % is what the full dose may take; further apertures
would only lengthen delivery)."""
DEAD_MU = 0.5
"""Apertures that the optimiser has driven below this make room for new ones."""
WATCHED_SHARE, MOST_WATCHED = 0.97, 2000
"""Unsampled voxels above this share of the hot-spot limit become samples, at most so many at a time (chosen: 3 % is
what later rounds move a hot spot by; 2000 more voxels cost under 5 % of an evaluation)."""
MU_ROOM = 1.05
"""Segments stay this factor above the machine's smallest, so that scaling the plan down a little keeps them legal."""
FLUENCE_TOLERANCE, REFINE_TOLERANCE = 3e-3, 1e-3
MERIT_SCALE = 5.0
"""Tolerances are relative to at least this merit: a goal missed by 0.2 Gy at its first weight (chosen)."""


class PhotonTps:
    """Implements contracts.TreatmentPlanningSystem with the matrix-free photon engine.

    Raises PlanningError for a case without a target, ModelError for unusable models."""

    def __init__(self, case: Case, goal_set: GoalSet, config: PlanningConfig, progress: Progress = silent) -> None:
        self.case, self.goal_set, self.config, self._progress = case, goal_set, config, progress
        progress("geometry", 0.0)
        self.machine = load_machine(config.machine)
        self.model, gy_per_mu = load_calibrated(config.beam_model)
        self._gy = np.float32(gy_per_mu * goal_set.fractions)
        self.arrangement = arrange(case, goal_set, self.machine, config)
        self.samples = sample_case(case, config.dose_grid_mm)
        self._regions, self._full = Regions(case, self.samples), FullGrid(case)
        targets = target_points_mm(case)
        frames = self.arrangement.frames
        supports = tuple(s.voxels for s in case.structures if s.kind is StructureKind.SUPPORT)
        space = medium(case.image, case.external.voxels, load_density(config.density), supports)
        pitch = config.beamlet_mm / max(1, int(np.ceil(config.beamlet_mm / OPTIMISER_PITCH_MM)))
        raster = raster_for(
            projected_extent(frames, self.samples.points_mm),
            projected_extent(frames, targets),
            pitch,
            reach_mm=OPTIMISER_REACH_MM,
        )
        exposure = Exposure.of(space, frames, self.samples.points_mm)
        self._operator = backend().dose_operator(self.model, raster, exposure)
        self._drawer = ApertureFluence(raster, self.machine.mlc.boundaries_mm, self.model.collimation)
        self._beamlets = Beamlets(self.arrangement, self.machine, raster, targets, config.beamlet_mm)
        self._leakage = Leakage(self._beamlets, self.machine, self.model.collimation.leaf_transmission)
        self._values: NDArray[np.float64] | None = None
        self._segments: tuple[BeamSegments, ...] = ()
        self._dose = np.zeros(len(self.samples.index), np.float32)
        self._correction = np.zeros_like(self._dose)
        self._final: tuple[Plan, CalculatedDose] | None = None
        self._final_dose = FinalDose(
            case.image, case.external.voxels, beam_model=config.beam_model, density=config.density, supports=supports
        )
        progress("geometry", 1.0)

    def initial_objectives(self) -> Objectives:
        return initial_objectives(self.case, self.goal_set)

    # --- fluence ---------------------------------------------------------------------------------------------------

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        merit = Merit(objectives, self._regions, self.samples)
        start = self._start_fluence() if self._values is None else self._values
        unit = float(start.mean())
        smooth = SMOOTHNESS * float(self._gy) ** 2 / len(self._beamlets.neighbours)
        first, second = self._beamlets.neighbours.T

        def evaluate(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            values = x * unit
            self._dose = self._operator.forward(self._leakage.draw(values)) * self._gy
            value, slope = merit(self._dose)
            gradient = self._leakage.collect(self._operator.adjoint(slope)) * float(self._gy)
            step = values[first] - values[second]
            value += smooth * float(step @ step)
            gradient += 2 * smooth * (
                np.bincount(first, step, gradient.size) - np.bincount(second, step, gradient.size)
            )  # fmt: skip
            return value, gradient * unit

        outcome = minimise(
            evaluate, start / unit, tolerance=FLUENCE_TOLERANCE, scale=MERIT_SCALE, budget=FLUENCE_BUDGET,
            on_iteration=lambda i, _: self._progress("fluence", min(1.0, i / FLUENCE_BUDGET)),
        )  # fmt: skip
        self._values, self._segments = outcome.x * unit, ()
        self._dose = self._operator.forward(self._leakage.draw(self._values)) * self._gy
        return self._state(outcome.value, outcome.evaluations, "fluence")

    def _start_fluence(self) -> NDArray[np.float64]:
        """Open fields that give the highest prescribed dose to its target on average."""
        ones = np.ones(self._beamlets.variables)
        dose = self._operator.forward(self._beamlets.draw(ones)) * self._gy
        name, dose_gy = max(
            (item for item in self.goal_set.prescription if self._regions.get(item[0]) is not None),
            key=lambda item: item[1],
            default=("", 0.0),
        )
        found = self._regions.get(name)
        if found is None:
            raise PlanningError("none of the prescribed targets is in the case")
        return ones * (dose_gy / float(np.average(dose[found[0]], weights=found[1])))

    # --- apertures -------------------------------------------------------------------------------------------------

    def sequence(self, objectives: Objectives) -> PlanningState:
        if self._values is None:
            raise PlanningError("fluence must be optimised before it can be sequenced")
        first = max(1, round(self.config.segments_per_beam * SEQUENCED_SHARE))
        beams = []
        for beam in range(len(self.arrangement.frames)):
            self._progress("sequencing", beam / len(self.arrangement.frames))
            beams.append(sequence_beam(self._beamlets, beam, self._values, self.machine, first))
        self._segments = tuple(beams)
        self._correction[:] = 0.0
        state = self._refine(objectives, minimum_mu=0.0, budget=GROW_BUDGET)
        for _ in range(GROWTHS):
            self._prune(DEAD_MU)
            if self._met(state) or not self._grow(objectives):
                break
            state = self._refine(objectives, minimum_mu=0.0, budget=GROW_BUDGET)
        self._prune(self.machine.dose_rate.minimum_segment_mu)
        return self.refine(objectives)

    def _prune(self, minimum_mu: float) -> None:
        pruned = tuple(prune(beam, minimum_mu) for beam in self._segments)
        if not any(len(beam.apertures.mu) for beam in pruned):
            raise PlanningError(
                f"no aperture would deliver {minimum_mu:g} MU or more; the dose of a fraction is too small for so many "
                "beams and segments"
            )
        self._segments = pruned

    def _met(self, state: PlanningState) -> bool:
        """Whether every goal and the hot-spot limit are met with GROWN_ROOM."""
        for goal, value in zip(self.goal_set.goals, state.goal_values, strict=True):
            room = 1 + GROWN_ROOM if goal.comparator is Comparator.AT_MOST else 1 - GROWN_ROOM
            if not (np.isnan(value) or goal.met_by(value * room)):
                return False
        return state.hottest_gy * (1 + GROWN_ROOM) <= self._hot_limit_gy

    @property
    def _hot_limit_gy(self) -> float:
        return max(dose for _, dose in self.goal_set.prescription) * self.goal_set.hot_spot_percent / 100

    def _grow(self, objectives: Objectives) -> bool:
        """One more aperture for every beam that may have one; false when all are full."""
        _, slope = Merit(objectives, self._regions, self.samples)(self._dose)
        by_fluence = self._operator.adjoint(slope)
        mean_mu = float(np.concatenate([b.apertures.mu for b in self._segments]).mean())
        grown = False
        beams = []
        for number, (beam, gradient) in enumerate(zip(self._segments, by_fluence, strict=True)):
            price = self._drawer.row_gradient(gradient) * self._beamlets.rows_of(number)[:, None]
            room = len(beam.apertures.mu) < self.config.segments_per_beam
            raster = self._operator.raster
            beams.append(priced(beam, price, raster, NEW_SHARE * mean_mu, self.machine) if room else beam)
            grown = grown or len(beams[-1].apertures.mu) > len(beam.apertures.mu)
        self._segments = tuple(beams)
        return grown

    def refine(self, objectives: Objectives) -> PlanningState:
        if not self._segments:
            raise PlanningError("there are no apertures to refine yet")
        minimum_mu = self.machine.dose_rate.minimum_segment_mu * MU_ROOM
        return self._refine(objectives, minimum_mu=minimum_mu, budget=REFINE_BUDGET)

    def _refine(self, objectives: Objectives, *, minimum_mu: float, budget: int) -> PlanningState:
        merit = Merit(objectives, self._regions, self.samples)
        vector = SegmentVector(self._segments, self.machine, minimum_mu)
        start, lower, upper = vector.pack()

        def evaluate(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            beams = vector.unpack(x)
            self._dose = self._dose_of(beams)
            value, slope = merit(self._dose)
            by_fluence = self._operator.adjoint(slope) * self._gy
            parts = [
                self._drawer.adjoint(beam.apertures, gradient) for beam, gradient in zip(beams, by_fluence, strict=True)
            ]
            return value, vector.gradient(beams, parts)

        outcome = minimise(
            evaluate, start, lower=lower, upper=upper, tolerance=REFINE_TOLERANCE, scale=MERIT_SCALE, budget=budget,
            on_iteration=lambda i, _: self._progress("apertures", min(1.0, i / budget)),
        )  # fmt: skip
        self._segments = vector.unpack(outcome.x)
        self._dose = self._dose_of(self._segments)
        self._final = None
        return self._state(outcome.value, outcome.evaluations, "apertures")

    def _dose_of(self, beams: tuple[BeamSegments, ...]) -> NDArray[np.float32]:
        """Dose of apertures on the samples: that of the optimiser's coarse raster, and what the full calculation last
        differed from it by (see judge)."""
        fluence = np.stack([self._drawer.forward(beam.apertures) for beam in beams])
        return self._operator.forward(fluence) * self._gy + self._correction

    # --- results ---------------------------------------------------------------------------------------------------

    def normalise(self, factor: float) -> PlanningState:
        if self._segments:
            self._segments = tuple(scaled(beam, factor) for beam in self._segments)
        elif self._values is not None:
            self._values = self._values * factor
        self._dose = self._dose * np.float32(factor)
        self._correction = self._correction * np.float32(factor)
        self._final = None
        return self._state(float("nan"), 0, "normalised")

    def judge(self) -> PlanningState:
        """The full calculation differs from the optimiser's raster by up to 1.5 % at hot and cold spots, which an
        optimiser seeks out. The difference changes little while leaves move by millimetres, so it is kept and added
        from here on (the hybrid scheme of Siebers et al., Med Phys 34:2853, 2007, there with Monte Carlo dose)."""
        _, dose = self.finish()
        full = dose.dose_gy.reshape(-1)
        self._watch(full)
        self._dose = full[self.samples.index]
        self._correction = np.zeros_like(self._dose)
        self._correction = self._dose - self._dose_of(self._segments)
        values = goal_values(self.goal_set.goals, self._full, full)
        return PlanningState(values, float("nan"), self._hottest(self._full, full), 0, "full")

    def _watch(self, full_gy: NDArray[np.float32]) -> None:
        """Samples from now on also the voxels that are too hot and were not looked at: an optimiser hides hot spots
        where it is not watched."""
        hot = np.flatnonzero(full_gy > WATCHED_SHARE * self._hot_limit_gy)
        new = np.setdiff1d(hot, self.samples.index)[:MOST_WATCHED].astype(np.int64)
        if not new.size:
            return
        self.samples, order = self.samples.added(new)
        self._operator = self._operator.with_points(self.case.image.grid.centres_mm(new), order)
        self._regions = Regions(self.case, self.samples)

    def finish(self) -> tuple[Plan, CalculatedDose]:
        if not self._segments:
            raise PlanningError("there are no apertures yet")
        if self._final is None:
            plan = build_plan(
                self.arrangement, self._segments, self.machine, fractions=self.goal_set.fractions,
                patient_position=self.case.patient_position, label="ADAPTED",
            )  # fmt: skip
            dose = self._final_dose.calculate(plan, per_beam=self.config.per_beam_dose, progress=self._progress)
            self._final = plan, dose
        return self._final

    def _state(self, merit: float, iterations: int, stage: str) -> PlanningState:
        values = goal_values(self.goal_set.goals, self._regions, self._dose)
        return PlanningState(values, merit, self._hottest(self._regions, self._dose), iterations, stage)

    def _hottest(self, regions: RegionSource, dose_gy: NDArray[np.float32]) -> float:
        """Hottest 0.1 cc in the patient, Gy."""
        found = regions.get(self.case.external.tg263)
        return float("nan") if found is None else dose_at_volume(dose_gy[found[0]], found[1], HOT_VOLUME_CC)
