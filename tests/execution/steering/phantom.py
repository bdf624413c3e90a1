"""A small cylinder with a target and an organ, to be steered for real: a call takes a few hundredths of a second."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Objectives, PlanningState
from appliance.evaluation import plan_scorer
from appliance.execution.steering.changes import Change
from appliance.execution.steering.episode import PlanningEpisode, Terms
from appliance.execution.steering.policy import Action
from appliance.planning.coarse import CoarseTps

from ...planning.cases import cylinder_case, goal, goal_set

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.5), goal("PTV", "D2%", "<=", 21.0), goal("Core", "Mean", "<=", 8.0, priority=2),
    goal("Core", "V12Gy", "<=", 20.0, unit="%", priority=3),
)  # fmt: skip
TERMS = Terms(calls=4)


def coarse_tps(case: Case | None = None, goals: GoalSet = GOALS) -> CoarseTps:
    return CoarseTps(cylinder_case() if case is None else case, goals, PlanningConfig())


def episode_of(tps, terms: Terms = TERMS, goals: GoalSet = GOALS) -> PlanningEpisode:
    return PlanningEpisode(tps, goals, plan_scorer(goals), terms=terms)


def action_of(episode: PlanningEpisode, changed: dict[int, Change]) -> Action:
    """Changes by the lever's number, all others kept."""
    return Action(tuple(changed.get(number, Change.KEEP) for number in range(len(episode.levers))))


@dataclass
class Reordered:
    """The same planning system with its objectives in another order."""

    tps: CoarseTps
    order: tuple[int, ...]

    def initial_objectives(self) -> Objectives:
        first = self.tps.initial_objectives()
        return tuple(first[i] for i in self.order)

    def offered_objectives(self) -> Objectives:
        return tuple(reversed(self.tps.offered_objectives()))

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        return self.tps.optimise_fluence(objectives)

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return self.tps.doses_at(structure, volumes_percent)

    def modulation(self) -> float:
        return self.tps.modulation()

    def forget(self) -> None:
        self.tps.forget()
