"""The TPS as the virtual planner operates it: true doses are few, between them its figures are estimates.

A dose of the full calculation is what a plan is judged by, and for a collapsed cone it costs more than a round of
optimisation. So after each one the TPS's own figures are moved by what they were off (additive, as the TPS itself does
with its dose), candidates are compared by such estimates, and only what will be handed back is calculated again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan

from appliance.contracts import (
    CalculatedDose,
    GoalSet,
    Objective,
    ObjectiveKind,
    Objectives,
    Plan,
    PlanningState,
    TreatmentPlanningSystem,
)
from appliance.execution.normalise import best_factor, scaled
from appliance.execution.rules import hot_shortfall, shortfall
from appliance.execution.score import score

MOST_OFF = 0.03
"""Objectives are moved by at most this share of their dose."""
NORMALISE_FROM = 0.0002
"""A change of monitor units below this is not worth making."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A plan that can be gone back to, and what is known of it. judged: `state` is of a true dose."""

    state: PlanningState
    back: Callable[[], PlanningState]
    judged: bool


class Operator:
    """One case's TPS and its goals. `true_doses` counts full calculations. judged: told each candidate with a true dose
    while the TPS stands at it. seen: told what was asked for and what came of it after each round. `pending`: the best
    that has none yet, of those since the last full calculation."""

    def __init__(
        self,
        tps: TreatmentPlanningSystem,
        goal_set: GoalSet,
        judged: Callable[[Candidate], None] = lambda _: None,
        seen: Callable[[Objectives, PlanningState], None] = lambda asked, state: None,
    ) -> None:
        self.tps, self.goal_set, self.seen = tps, goal_set, seen
        self.true_doses = 0
        self.pending: Candidate | None = None
        self._on_judged = judged
        self._judged: PlanningState | None = None
        self._sampled: PlanningState | None = None

    def judge(self) -> Candidate:
        """The plan as it stands by a true dose; estimates are right for it from now on."""
        judged = self.tps.judge()
        self.true_doses += 1
        self._judged, self._sampled = judged, self.tps.normalise(1.0)
        candidate, self.pending = Candidate(judged, self.tps.remember(), judged=True), None
        self._on_judged(candidate)
        return candidate

    def refine(self, objectives: Objectives) -> PlanningState:
        """One more round of optimisation; the state is an estimate. Objectives speak of true doses, so what the TPS is
        asked is moved by what its figures are off."""
        state = self.estimated(self.tps.refine(tuple(self._as_seen(o) for o in objectives)))
        self.seen(objectives, state)
        return state

    def _as_seen(self, objective: Objective) -> Objective:
        """Mean doses are left as they are: the rules move those by what the estimate shows."""
        if objective.goal < 0 or objective.kind is ObjectiveKind.MEAN_DOSE or self._judged is None:
            return objective
        if self._sampled is None or self.goal_set.goals[objective.goal].unit != "Gy":
            return objective
        off_gy = self._judged.goal_values[objective.goal] - self._sampled.goal_values[objective.goal]
        most_gy = MOST_OFF * objective.dose_gy
        return objective if isnan(off_gy) else replace(objective, dose_gy=objective.dose_gy - clip(off_gy, most_gy))

    def estimated(self, sampled: PlanningState) -> PlanningState:
        """What the full grid will show: the TPS's own figures moved by what they were off when last compared."""
        if self._judged is None or self._sampled is None:
            return sampled
        values = tuple(
            max(now + judged - then, 0.0)
            for now, judged, then in zip(
                sampled.goal_values, self._judged.goal_values, self._sampled.goal_values, strict=True
            )
        )
        hottest_gy = sampled.hottest_gy + self._judged.hottest_gy - self._sampled.hottest_gy
        return replace(sampled, goal_values=values, hottest_gy=hottest_gy)

    def kept(self, state: PlanningState, factor: float = 1.0) -> Candidate:
        """The plan as it stands, of which `state` is the estimate, with its monitor units times a factor. The TPS goes
        on from the plan without it: the objectives were balanced for that one."""
        plain = back = self.tps.remember()
        if factor != 1.0:
            self.tps.normalise(factor)
            back = self.tps.remember()
            plain()
        candidate = Candidate(scaled(self.goal_set, state, factor), back, judged=False)
        if self.pending is None or self.score(candidate.state) > self.score(self.pending.state):
            self.pending = candidate
        return candidate

    def true(self, candidate: Candidate) -> Candidate:
        """The same plan, judged by a true dose if it was not yet; the TPS stands there afterwards."""
        if candidate.judged:
            candidate.back()
            return candidate
        candidate.back()
        return self.judge()

    def result(self, candidate: Candidate) -> tuple[Plan, CalculatedDose]:
        candidate.back()
        return self.tps.finish()

    def score(self, state: PlanningState, *, room: float = 0.0) -> float:
        return score(self.goal_set, state, room=room)

    def factor(self, state: PlanningState, *, room: float = 0.0) -> float:
        """What to scale monitor units by. Down only where that meets more: lower organ doses at the price of what a
        target has above its goal are no gain."""
        found = best_factor(self.goal_set, state, room=room)
        return found if abs(found - 1) > NORMALISE_FROM else 1.0

    def satisfied(self, state: PlanningState, room: float, *, besides: frozenset[int] = frozenset()) -> bool:
        """Whether every goal but those and the hot-spot limit are met with room."""
        return hot_shortfall(self.goal_set, state.hottest_gy) + room <= 0 and all(
            number in besides or isnan(value) or shortfall(goal, value) + room <= 0
            for number, (goal, value) in enumerate(zip(self.goal_set.goals, state.goal_values, strict=True))
        )


def clip(value: float, most: float) -> float:
    return min(max(value, -most), most)
