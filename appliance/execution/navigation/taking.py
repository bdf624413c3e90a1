"""The plan of an answer takes the place of the plan in review: a revision like any other, made from the combined
fluence instead of the apertures that stand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import GoalSet, Revision
from appliance.contracts.navigation import Answer, TradeOffSet, Wish
from appliance.execution.edits import planning_set
from appliance.execution.meeting import Met
from appliance.execution.navigation.realise import agreed_goals, realise
from appliance.execution.planner import part_of
from appliance.execution.reviser import Reviser
from appliance.execution.revising import Task

FINAL_FROM = 0.95


def agreed_in(revision: Revision, known: TradeOffSet, asked: tuple[Wish, Answer]) -> GoalSet:
    """What is planned for: the goals of the revision, wishes of earlier ones too, with the limits that were agreed."""
    limits = {goal.key: goal.limit for goal in agreed_goals(known, *asked).goals}
    goals = tuple(replace(goal, limit=limits.get(goal.key, goal.limit)) for goal in revision.goal_set.goals)
    return planning_set(replace(revision, goal_set=replace(revision.goal_set, goals=goals)))


@dataclass(eq=False)
class Trader(Reviser):
    """agreed: as `agreed_in`, and what the planning system has. fluence: of its beamlets; None: it makes its own for
    these goals."""

    agreed: GoalSet | None = None
    fluence: NDArray[np.float64] | None = None

    @property
    def planned_for(self) -> GoalSet:
        return self.goal_set if self.agreed is None else self.agreed

    def plan_on(self, task: Task) -> Met:
        """Taken only if it is nearer to the wish and has lost nothing that must not be: a prediction in the fluence is
        no promise of apertures."""
        met = realise(self.operator, self.fluence, part_of(self.progress, 0.0, FINAL_FROM))
        nearer = task.missed(met.best.state) < task.missed(task.before.state)
        return met if nearer and not task.forbidden(met.best.state) else replace(met, best=task.before)
