"""The embedded treatment planning system: one case, operated through `contracts.TreatmentPlanningSystem`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import (
    CalculatedDose,
    Case,
    Comparator,
    GoalConflict,
    GoalSet,
    Objectives,
    Plan,
    PlanningState,
)
from appliance.contracts.progress import Progress, silent
from appliance.contracts.sampled import Sampled
from appliance.errors import PlanningError
from appliance.planning.aim import Aim, corrected, hot_limit_gy, hottest_gy
from appliance.planning.conflicts import Pull, conflicts, told
from appliance.planning.final_dose import FinalDose, dose_options
from appliance.planning.fluence_stage import FLUENCE_BUDGET
from appliance.planning.following import Following
from appliance.planning.imitation import IMITATION_BUDGET, imitation
from appliance.planning.machine import load_machine
from appliance.planning.merit import FullGrid, Merit, Regions, doses_at, goal_values
from appliance.planning.offered import offered_objectives
from appliance.planning.sampling import sample_case
from appliance.planning.setting import setting_of
from appliance.planning.techniques import technique_of
from appliance.planning.template import initial_objectives
from engines.optimise import Outcome

WATCHED_SHARE, MOST_WATCHED = 0.97, 2000
"""Unsampled voxels above this share of the hot-spot limit become samples, and those of a target below its goal's dose
over this share; at most so many at a time (chosen: 3 % is what later rounds move a hot spot by; 2000 more voxels cost
under 5 % of an evaluation)."""


class PhotonTps(Following):
    """Implements contracts.TreatmentPlanningSystem with the matrix-free photon engine, and contracts.SteerableTps with
    the fluence alone; the technique of the configuration says what the variables of a deliverable plan are (see
    `delivery.Delivery`).

    thin: organs and targets keep one in so many of their samples, for questions that need no plan.
    Raises PlanningError for a case without a target, ModelError for unusable models."""

    def __init__(
        self, case: Case, goal_set: GoalSet, config: PlanningConfig, progress: Progress = silent, *, thin: int = 1
    ) -> None:
        self.case, self.goal_set, self.config, self._progress = case, goal_set, config, progress
        progress("geometry", 0.0)
        self.machine = load_machine(config.machine)
        setting = setting_of(case, goal_set, config, self.machine)
        self.model = setting.model
        self.samples = sample_case(case, config.dose_grid_mm, thin=thin)
        self._regions, self._full = Regions(case, self.samples), FullGrid(case)
        self._final_dose = FinalDose(case.image, case.external.voxels, **dose_options(config, case.structures))
        self.arrangement, self._fluence, self._delivery = technique_of(setting, self.samples.points_mm, progress)
        self._dose = np.zeros(len(self.samples.index), np.float32)
        self._correction = np.zeros_like(self._dose)
        self._final: tuple[Plan, CalculatedDose] | None = None
        self._sequenced, self._objectives = False, ()
        progress("geometry", 1.0)

    def initial_objectives(self) -> Objectives:
        return initial_objectives(self.case, self.goal_set)

    def offered_objectives(self) -> Objectives:
        return offered_objectives(self.case, self.goal_set)

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        """See contracts.SteerableTps; of the dose that was optimised or judged last."""
        return doses_at(self._regions, self._dose, structure, volumes_percent)

    def modulation(self) -> float:
        return self._fluence.modulation(self.goal_set)

    def aim_at(self, goal_set: GoalSet) -> None:
        """Goals with other limits from now on; anatomy, beams and the fluence so far stay. Raises PlanningError for
        goals of other structures or metrics, or another prescription."""
        if [(g.structure, g.metric, g.unit) for g in goal_set.goals] != [
            (g.structure, g.metric, g.unit) for g in self.goal_set.goals
        ] or goal_set.prescription != self.goal_set.prescription:
            raise PlanningError("only limits of the goals can change while a case is being planned")
        self.goal_set = goal_set

    def forget(self) -> None:
        """The next optimisation of the fluence begins from open fields."""
        self._fluence.values = None

    def _aim(
        self, objectives: Objectives, *, fluence: bool = False, reference_gy: NDArray[np.float32] | None = None
    ) -> Aim:
        self._objectives = self._objectives if reference_gy is not None else objectives
        return Aim(
            objectives,
            self._fluence.dose_model if fluence else self._delivery.dose_model,
            np.zeros_like(self._correction) if fluence else self._correction,
            goal_set=self.goal_set,
            regions=self._regions,
            samples=self.samples,
            external=self.case.external.tg263,
            reference_gy=reference_gy,
        )

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        return self.approach(objectives, FLUENCE_BUDGET)

    def approach(self, objectives: Objectives, evaluations: int) -> PlanningState:
        """`optimise_fluence` with at most so many evaluations of the merit."""
        aim, stage = self._aim(objectives, fluence=True), self._fluence
        start = stage.start(self.goal_set, self._regions) if stage.values is None else stage.values
        outcome = stage.optimise(aim, start, self._progress, budget=evaluations)
        self._dose, self._sequenced = aim.dose_gy, False
        return self._state(outcome.value, outcome.evaluations, "fluence")

    def imitate(self, dose_gy: NDArray[np.float32]) -> PlanningState:
        """The fluence after a few evaluations towards a dose (z, y, x) on the image grid, Gy, from open fields. Raises
        PlanningError for a dose on another grid."""
        wanted = imitation(self.case, self.goal_set)
        aim = self._aim(wanted, fluence=True, reference_gy=self.at_samples(dose_gy))
        start = self._fluence.start(self.goal_set, self._regions)
        outcome = self._fluence.optimise(aim, start, self._progress, budget=IMITATION_BUDGET)
        self._dose, self._sequenced = aim.dose_gy, False
        return self._state(outcome.value, outcome.evaluations, "fluence")

    def fluence_values(self) -> NDArray[np.float64]:
        """Value of each beamlet (variables,), MU, to go on from another time. Raises PlanningError before there is a
        fluence."""
        if self._fluence.values is None:
            raise PlanningError("there is no fluence yet")
        return self._fluence.values.copy()

    def take_fluence(self, values: NDArray[np.floating]) -> PlanningState:
        """Stands at a fluence of the same beams and beamlets from now on: what is optimised next begins there, what is
        sequenced next is made of it. Raises PlanningError for one that cannot be of these beamlets."""
        self._fluence.take(values)
        aim = self._aim(self.initial_objectives(), fluence=True)
        self._dose, self._sequenced = aim.dose_of(self._fluence.fluence()), False
        return self._state(float("nan"), 0, "fluence")

    def sampled(self) -> Sampled:
        """The dose that stands, of fluence or apertures, and the regions of the goals among its samples."""
        external = self.case.external.tg263
        names = dict.fromkeys([*(goal.structure for goal in self.goal_set.goals), external])
        found = {name: self._regions.get(name) for name in names}
        return Sampled(self._dose, {name: one for name, one in found.items() if one is not None}, external)

    def at_samples(self, dose_gy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of a dose (z, y, x) on the image grid what lies at the samples. Raises PlanningError for another grid."""
        if dose_gy.shape != self.case.image.grid.shape:
            raise PlanningError(f"a dose of shape {dose_gy.shape} does not lie on {self.case.image.grid.shape}")
        return np.asarray(dose_gy.reshape(-1)[self.samples.index], np.float32)

    def sequence(self, objectives: Objectives) -> PlanningState:
        return self._sequence(objectives, self._delivery.develop)

    def sequence_quickly(self, objectives: Objectives) -> PlanningState:
        """See contracts.CanBeQuick: a fifth of the evaluations of `sequence`, at a price in the plan."""
        return self._sequence(objectives, self._delivery.settle)

    def _sequence(self, objectives: Objectives, develop: Callable[[Aim, Progress], Outcome]) -> PlanningState:
        if self._fluence.values is None:
            raise PlanningError("fluence must be optimised before it can be sequenced")
        self._delivery.start(self._fluence.beamlets, self._fluence.values, self._progress)
        self._sequenced = True
        self._correction = np.zeros_like(self._correction)
        aim = self._aim(objectives)
        outcome = develop(aim, self._progress)
        self._dose, self._final = aim.dose_gy, None
        return self._state(outcome.value, outcome.evaluations, "apertures")

    def refine(self, objectives: Objectives) -> PlanningState:
        if not self._sequenced:
            raise PlanningError("there are no apertures to refine yet")
        aim = self._aim(objectives)
        outcome = self._delivery.refine(aim, self._progress)
        self._dose, self._final = aim.dose_gy, None
        return self._state(outcome.value, outcome.evaluations, "apertures")

    def normalise(self, factor: float) -> PlanningState:
        if self._sequenced:
            self._delivery.scale(factor)
        elif self._fluence.values is not None:
            self._fluence.values = self._fluence.values * factor
        self._dose = self._dose * np.float32(factor)
        self._correction = self._correction * np.float32(factor)
        if factor != 1.0:  # asked for its own figures only, it keeps the dose just calculated
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
        self._correction = self._dose - self._delivery.dose_model.forward(self._delivery.fluence())
        values = goal_values(self.goal_set.goals, self._full, full)
        hottest = hottest_gy(self._full, self.case.external.tg263, full)
        return PlanningState(values, float("nan"), hottest, 0, "full", self._delivery.mu)

    def _watch(self, full_gy: NDArray[np.float32]) -> None:
        """Samples from now on also the voxels that are too hot or too cold and were not looked at: an optimiser hides
        what it is asked to avoid where it is not watched."""
        hot = np.flatnonzero(full_gy > WATCHED_SHARE * hot_limit_gy(self.goal_set))
        self._sample(hot, full_gy, np.ones(full_gy.size, np.bool_), sign=-1)
        for goal in self.goal_set.goals:
            found = self._full.get(goal.structure) if goal.comparator is Comparator.AT_LEAST else None
            if found is not None and goal.unit == "Gy":
                target = np.zeros(full_gy.size, np.bool_)
                target[found[0]] = True
                self._sample(np.flatnonzero(target & (full_gy < goal.limit / WATCHED_SHARE)), full_gy, target, sign=1)

    def _sample(
        self, wanted: NDArray[np.int64], full_gy: NDArray[np.float32], within: NDArray[np.bool_], *, sign: int
    ) -> None:
        """Adds of the wanted voxels those not sampled yet, the coldest (sign 1) or hottest (-1) first. Samples within
        the same region that are as cold or hot stand for themselves from now on."""
        new = np.setdiff1d(wanted, self.samples.index).astype(np.int64)
        if not new.size:
            return
        new = np.sort(new[np.argsort(sign * full_gy[new], kind="stable")[:MOST_WATCHED]])
        own = self.samples.index
        whole = within[own] & (sign * full_gy[own] <= (sign * full_gy[new]).max())
        points_mm = self.case.image.grid.centres_mm(new)
        self.samples, order = self.samples.added(new, whole)
        self._add_points(points_mm, order)
        self._regions = Regions(self.case, self.samples)

    def finish(self) -> tuple[Plan, CalculatedDose]:
        if not self._sequenced:
            raise PlanningError("there are no apertures yet")
        if self._final is None:
            plan = self._delivery.plan()
            dose = self._final_dose.calculate(plan, per_beam=self.config.per_beam_dose, progress=self._progress)
            self._final = plan, dose
        return self._final

    def remember(self) -> Callable[[], PlanningState]:
        leaves, final, sequenced = self._delivery.remember(), self._final, self._sequenced

        def back() -> PlanningState:
            leaves()
            self._final, self._sequenced = final, sequenced
            self._dose = corrected(self._delivery.dose_model, self._delivery.fluence(), self._correction)
            return self._state(float("nan"), 0, "remembered")

        return back

    def conflicts(self, objectives: Objectives) -> tuple[GoalConflict, ...]:
        """One for each missed goal that other objectives stand against, in the fluence or plan as it is."""
        stage = self._delivery if self._sequenced else self._fluence
        if not self._sequenced and self._fluence.values is None:
            return ()
        goals, values = self.goal_set.goals, goal_values(self.goal_set.goals, self._regions, self._dose)
        missed = frozenset(
            i for i, (goal, v) in enumerate(zip(goals, values, strict=True)) if not np.isnan(v) and not goal.met_by(v)
        )
        if not missed:
            return ()
        slopes = Merit(objectives, self._regions, self.samples).slopes(self._dose)
        pulls = [Pull(objective, stage.in_variables(stage.dose_model.adjoint(slope))) for objective, slope in slopes]
        return tuple(told(found, goals) for found in conflicts(pulls, missed))

    def _state(self, merit: float, iterations: int, stage: str) -> PlanningState:
        values = goal_values(self.goal_set.goals, self._regions, self._dose)
        hottest = hottest_gy(self._regions, self.case.external.tg263, self._dose)
        mu = self._delivery.mu if self._sequenced else float("nan")
        return PlanningState(values, merit, hottest, iterations, stage, mu)
