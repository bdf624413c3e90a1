"""What could be traded around a plan: a few plans, each of which favours one goal, and what a wish would cost.

Dose is linear in fluence, so that a combination of fluences with weights that are not negative and sum to one is a plan
again, whose dose is the same combination of the doses (the convex hull that Pareto navigation moves in: Monz et al.,
Phys Med Biol 53:985, 2008)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.goals import ClinicalGoal, Comparator, GoalSet, Metric
from appliance.contracts.objectives import Objectives
from appliance.contracts.sampled import Found, Sampled
from appliance.contracts.tps import PlanningState


class NavigableTps(Protocol):
    """What making such a set needs of a TPS: fluence in and out, and the dose on its samples."""

    def initial_objectives(self) -> Objectives: ...

    def approach(self, objectives: Objectives, evaluations: int) -> PlanningState:
        """Optimises the fluence warm from what stands, with at most so many evaluations."""
        ...

    def imitate(self, dose_gy: NDArray[np.float32]) -> PlanningState: ...

    def fluence_values(self) -> NDArray[np.float64]: ...

    def take_fluence(self, values: NDArray[np.floating]) -> PlanningState: ...

    def sampled(self) -> Sampled: ...

    def at_samples(self, dose_gy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of a dose (z, y, x) on the image grid what lies at the samples."""
        ...


@dataclass(frozen=True)
class Wish:
    """A goal as it is asked for, perhaps of a metric that no goal of the set has. text: in the asker's words."""

    structure: str
    metric: Metric
    comparator: Comparator
    limit: float
    unit: str
    text: str

    def __str__(self) -> str:
        return f"{self.structure} {self.metric} {self.comparator} {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class Forecast:
    """One goal of the set (fields as in GoalResult): its value in the plan, and as the combination predicts it."""

    structure: str
    metric: str
    comparator: str
    limit: float
    unit: str
    priority: int
    now: float
    then: float
    met_now: bool
    met_then: bool

    @staticmethod
    def of(goal: ClinicalGoal, now: float, then: float) -> Forecast:
        told = (goal.structure, str(goal.metric), goal.comparator.value, goal.limit, goal.unit, goal.priority)
        return Forecast(*told, now, then, goal.met_by(now), goal.met_by(then))

    @property
    def name(self) -> str:
        return f"{self.structure} {self.metric}"


@dataclass(frozen=True)
class Answer:
    """wanted, now, reached: of what the wish is about, in `unit`. reachable: without losing what must not be lost.
    held_by: where it is not, what stands in the way, and what it would come to otherwise. further: what could then be
    reached, None where that was not asked. parts: how much of which plan the combination is. hottest_*: 0.1 cc. Every
    value is a prediction until a deliverable plan was made."""

    wish: str
    unit: str
    wanted: float
    now: float
    reached: float
    reachable: bool
    goals: tuple[Forecast, ...]
    hottest_now_gy: float
    hottest_gy: float
    parts: tuple[tuple[str, float], ...]
    held_by: tuple[tuple[str, float], ...]
    further: float | None
    sentence: str
    seconds: float

    @property
    def lost(self) -> tuple[Forecast, ...]:
        return tuple(one for one in self.goals if one.met_now and not one.met_then)


@dataclass(frozen=True)
class Anchor:
    """One plan of the set. goal: number of the goal that it favours, -1 for the plan that the others lie around.
    values: of each goal on the samples, NaN where the structure is absent; hottest_gy: 0.1 cc. evaluations: of the
    merit that it took."""

    name: str
    goal: int
    values: tuple[float, ...]
    hottest_gy: float
    evaluations: int
    sentence: str = ""


@dataclass(frozen=True, eq=False)
class TradeOffSet:
    """The anchors, the middle one first. plan_digest: of the deliverable plan that they lie around; plan_values,
    plan_hottest_gy: of its full dose; plan_dose_gy (samples,): the same at the samples. dose_gy (anchors, samples),
    fluence (anchors, beamlets) in MU. why: where there are no anchors beside the middle, the reason."""

    goal_set: GoalSet
    plan_digest: str
    plan_values: tuple[float, ...]
    plan_hottest_gy: float
    anchors: tuple[Anchor, ...]
    external: str
    regions: Mapping[str, Found]
    plan_dose_gy: NDArray[np.float32]
    dose_gy: NDArray[np.float32]
    fluence: NDArray[np.float32]
    why: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(anchor.name for anchor in self.anchors)
