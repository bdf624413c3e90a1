"""Which objectives stand against a goal that is missed: those whose gradient in the plan's variables opposes its own.

At a point where the weighted sum of all objectives no longer falls, the gradient of each is balanced by the others
(stationarity; for several criteria: Miettinen, Nonlinear Multiobjective Optimization, 1999, ch. 3). What holds a missed
goal is then what pulls its variables the other way: the objective with the most negative cosine between both gradients,
counted with its length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import ClinicalGoal, GoalConflict, Objective, ObjectiveKind, Opponent

OPPOSED = -0.1
"""Cosines above this say nothing (chosen: gradients of unrelated objectives scatter by a few percent)."""
NAMED = 2
"""At most so many opponents of one goal are named."""
SMALL = 0.02
"""Objectives whose gradient is shorter than this share of the goal's do not hold it (chosen)."""
WORDS = {
    ObjectiveKind.SQUARED_DEVIATION: "dose of {0}",
    ObjectiveKind.SQUARED_OVERDOSE: "hot spots in {0}",
    ObjectiveKind.SQUARED_UNDERDOSE: "coverage of {0}",
    ObjectiveKind.MEAN_DOSE: "mean dose of {0}",
    ObjectiveKind.DVH_MAX: "dose-volume limit of {0}",
    ObjectiveKind.DVH_MIN: "coverage of {0}",
    ObjectiveKind.FALLOFF: "dose fall-off around the targets",
}


@dataclass(frozen=True, eq=False)
class Pull:
    """One objective and its gradient in the variables."""

    objective: Objective
    gradient: NDArray[np.float64]


@dataclass(frozen=True)
class Conflict:
    """goal: its number. against: objectives that oppose it, the strongest first, with the cosine; shares: of each, of
    all that pulls against the goal (0..1)."""

    goal: int
    against: tuple[tuple[Objective, float], ...]
    shares: tuple[float, ...] = ()


def conflicts(pulls: list[Pull], missed: frozenset[int]) -> tuple[Conflict, ...]:
    """For each missed goal that an objective speaks for, what opposes it; goals that nothing opposes are left out (they
    need other directions, apertures or time, not another balance)."""
    found = []
    for own in pulls:
        if own.objective.goal not in missed or not (length := float(np.linalg.norm(own.gradient))):
            continue
        against = []
        for other in pulls:
            strength = float(np.linalg.norm(other.gradient))
            if other is own or other.objective.goal == own.objective.goal or strength < SMALL * length:
                continue
            cosine = float(own.gradient @ other.gradient) / (length * strength)
            if cosine < OPPOSED:
                against.append((strength * cosine, other.objective, cosine))
        against.sort(key=lambda item: item[0])
        if against:
            whole = sum(pull for pull, _, _ in against)
            shares = tuple(pull / whole for pull, _, _ in against)
            found.append(Conflict(own.objective.goal, tuple((o, c) for _, o, c in against), shares))
    return tuple(found)


def told(found: Conflict, goals: tuple[ClinicalGoal, ...]) -> GoalConflict:
    """As the virtual planner and a clinician hear of it: the strongest opponents are named."""
    against = " and ".join(f"{in_words(o)} (cosine {cosine:.2f})" for o, cosine in found.against[:NAMED])
    numbers = dict.fromkeys(o.goal for o, _ in found.against if o.goal >= 0)
    opponents = tuple(
        Opponent(str(goals[o.goal]) if o.goal >= 0 else "", in_words(o), cosine, share)
        for (o, cosine), share in zip(found.against, found.shares, strict=True)
    )
    sentence = f"{goals[found.goal]} is missed: it stands against {against}"
    return GoalConflict(found.goal, tuple(numbers), sentence, opponents)


def in_words(objective: Objective) -> str:
    """What an objective asks for, for a clinician."""
    name = objective.structure.split("!")[0]
    if objective.hot_spot:
        return "the limit on hot spots"
    return WORDS.get(objective.kind, "dose of {0}").format(name)
