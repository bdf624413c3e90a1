"""What a policy is: from what can be seen after an optimisation to the next changes, or to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import GoalSet, PlanningState
from appliance.execution.guide import Foreseen
from appliance.execution.steering.changes import Change, Lever, Setting


@dataclass(frozen=True, eq=False)
class Observation:
    """What the learned policy sees. tokens (levers, features) float32, context (features,) float32, legal (levers,
    changes) bool. `observation.py` names the features; a row belongs to one lever and knows nothing of its place in the
    list, so that any order of structures means the same."""

    tokens: NDArray[np.float32]
    context: NDArray[np.float32]
    legal: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class View:
    """The same for a policy that reasons in words and numbers. curves: dose in Gy at `observation.VOLUMES_PERCENT` of
    each structure that a lever is of. score: percent of the most that the scorecard gives; points: what an episode that
    ends here is worth (`Step.points`). foreseen: by goal, where there is a prediction."""

    goal_set: GoalSet
    levers: tuple[Lever, ...]
    setting: Setting
    state: PlanningState
    curves: Mapping[str, tuple[float, ...]]
    score: float
    points: float
    foreseen: tuple[Foreseen, ...]
    calls_left: int
    observation: Observation


@dataclass(frozen=True)
class Action:
    """changes: one for each lever. stop: nothing more is wanted, and no call is made."""

    changes: tuple[Change, ...] = ()
    stop: bool = False


STOP = Action(stop=True)


class Policy(Protocol):
    name: str

    def act(self, view: View) -> Action: ...
