"""What a predicted dose tells the planner before it begins: what each goal will come to, and with what certainty.

A prediction is of plans that were good once, not of the best plan that there is, and it can be wrong. So it only says
where to begin and where to look first; whether a goal is met, given up or lowered further is decided on doses that were
calculated, and by the same score as without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import (
    ClinicalGoal,
    Comparator,
    GoalSet,
    Objective,
    ObjectiveKind,
    Objectives,
    PredictedBand,
)
from appliance.errors import PlanningError
from appliance.execution.rules import shortfall
from appliance.execution.score import is_organ

CLEARLY = 0.02
"""A goal is foreseen as out of reach if even the end of its interval that speaks for it misses by more than this share
of its limit (chosen: the fluence moves a goal by about as much in a round of pushing)."""
COLDEST, HOTTEST = 0.85, 1.30
"""A prediction whose minimum dose of a target lies outside these multiples of its goal is not of this patient and
prescription (chosen: the reference doses of 20 OpenKBP patients lie within 0.95 and 1.19)."""
TIGHT, PRESS = 0.05, 2.0
"""Goals foreseen within this share of their limit on either side begin with so many times their weight (chosen: what
the rules would push them to in the first round or two)."""
ROOM, ABOVE = 0.05, 1.05
"""An organ foreseen below its goal by more than this share has room: it is asked for this multiple of what is foreseen
(chosen: of the error that predictions have of a mean dose, less than the whole)."""
VOLUMES_PERCENT = (10.0, 30.0, 50.0, 70.0)
"""Points of an organ's DVH that are asked for where it has room (chosen: from its hot part to its cold one)."""
SPARED_WEIGHT = 4.0
"""Weight of what is asked of an organ with room, all its points together: that of a helper, which gives way to goals
(chosen: a tenth of the lightest goal's)."""


@dataclass(frozen=True)
class Foreseen:
    """What a goal will come to by a prediction, in the goal's unit: best guess and the ends of its 80 % interval. NaN
    where it could not be judged. Raises PlanningError where the guess is outside its interval."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not math.isnan(self.value) and not self.low <= self.value <= self.high:
            raise PlanningError(
                f"a predicted value of {self.value:g} lies outside its interval {self.low:g}-{self.high:g}"
            )

    def at_best(self, goal: ClinicalGoal) -> float:
        """The end that speaks for the goal."""
        return self.low if goal.comparator is Comparator.AT_MOST else self.high


@dataclass(frozen=True, eq=False)
class Guide:
    """A prediction as the planner uses it. foreseen: one for each goal of the set. bands: predicted DVHs of organs,
    which may be none. dose_gy: (z, y, x) on the image grid, for a planning system that can imitate it; None: it shall
    not."""

    goal_set: GoalSet
    foreseen: tuple[Foreseen, ...]
    bands: tuple[PredictedBand, ...] = ()
    dose_gy: NDArray[np.float32] | None = None

    @property
    def out_of_reach(self) -> frozenset[int]:
        """Goals that even the optimistic end misses clearly. Coverage of targets is never among them."""
        pairs = enumerate(zip(self.goal_set.goals, self.foreseen, strict=True))
        return frozenset(i for i, (g, f) in pairs if g.caps_dose and shortfall(g, f.at_best(g)) > CLEARLY)

    @property
    def easy(self) -> dict[int, float]:
        """By its number, the value that a goal of an organ is foreseen to fall to: the middle of guess and best end."""
        pairs = enumerate(zip(self.goal_set.goals, self.foreseen, strict=True))
        organs = (i for i, (g, f) in pairs if is_organ(self.goal_set, g) and g.unit == "Gy" and f.low > 0)
        return {i: (self.foreseen[i].value + self.foreseen[i].low) / 2 for i in organs}

    def begin(self, first: Objectives) -> Objectives:
        """The planner's first objectives with tight goals heavier, and what organs with room may be asked for."""
        return (*(self._weighed(objective) for objective in first), *self.spared())

    def _weighed(self, objective: Objective) -> Objective:
        if objective.goal < 0:
            return objective
        missed = shortfall(self.goal_set.goals[objective.goal], self.foreseen[objective.goal].value)
        known = not math.isnan(self.foreseen[objective.goal].value)
        return objective.scaled(PRESS) if known and abs(missed) < TIGHT else objective

    def spared(self) -> Objectives:
        """Of each organ with room: its mean or points of its DVH, as helpers."""
        organs: dict[str, bool] = {}
        for goal, foreseen in zip(self.goal_set.goals, self.foreseen, strict=True):
            if is_organ(self.goal_set, goal) and goal.unit == "Gy" and not math.isnan(foreseen.value):
                organs[goal.structure] = organs.get(goal.structure, True) and shortfall(goal, foreseen.value) < -ROOM
        return tuple(
            Objective(
                band.structure, ObjectiveKind.DVH_MAX, dose_gy * ABOVE, SPARED_WEIGHT / len(VOLUMES_PERCENT), volume
            )
            for band in self.bands
            if organs.get(band.structure, False)
            for volume, dose_gy in zip(VOLUMES_PERCENT, _doses_at(band, VOLUMES_PERCENT), strict=True)
        )


def _doses_at(band: PredictedBand, volumes_percent: Sequence[float]) -> list[float]:
    order = np.argsort(band.volume_percent)
    return [float(d) for d in np.interp(volumes_percent, band.volume_percent[order], band.dose_gy[order])]


def guide_of(
    goal_set: GoalSet,
    foreseen: Sequence[Foreseen],
    *,
    bands: Sequence[PredictedBand] = (),
    dose_gy: NDArray[np.float32] | None = None,
    what: str = "predicted dose",
) -> Guide:
    """what: what it is called. Raises PlanningError for a prediction that cannot be of this patient and prescription,
    judged by the doses that it gives to targets, and for one without a target to judge it by: planning then goes on
    without it."""
    checked = 0
    for goal, one in zip(goal_set.goals, foreseen, strict=True):
        if goal.comparator is not Comparator.AT_LEAST or goal.unit != "Gy" or math.isnan(one.value):
            continue
        checked += 1
        if not COLDEST * goal.limit <= one.value <= HOTTEST * goal.limit:
            raise PlanningError(
                f"the {what} gives {goal.structure} a {goal.measure} of {one.value:.1f} Gy where "
                f"{goal.limit:g} Gy are wanted; it cannot be of this case"
            )
    if not checked:
        raise PlanningError(f"no goal states a target dose by which the {what} could be judged")
    return Guide(goal_set, tuple(foreseen), tuple(bands), dose_gy)
