"""Why a goal is missed, as far as it was computed, and the smallest change found that would make it pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appliance.contracts.goals import GoalSet
from appliance.contracts.objectives import Objectives
from appliance.contracts.tps import GoalConflict, PlanningState


class FluenceTps(Protocol):
    """What re-optimising beamlet fluence needs of a TPS, besides what planning needs."""

    def initial_objectives(self) -> Objectives: ...

    def optimise_fluence(self, objectives: Objectives) -> PlanningState: ...

    def conflicts(self, objectives: Objectives) -> tuple[GoalConflict, ...]: ...

    def aim_at(self, goal_set: GoalSet) -> None:
        """Goals with other limits from now on; anatomy, beams and the fluence so far stay."""
        ...

    def forget(self) -> None:
        """The next optimisation begins without a fluence."""
        ...


@dataclass(frozen=True)
class Reached:
    """The best fluence found for a goal set. values: one for each goal, NaN for an absent structure. conflicts: what
    stands against the goals it misses."""

    values: tuple[float, ...]
    hottest_gy: float
    evaluations: int
    conflicts: tuple[GoalConflict, ...] = ()


class Reoptimiser(Protocol):
    """Re-optimises the fluence of one case for goals of the same structures and metrics with other limits."""

    def __call__(
        self,
        goal_set: GoalSet,
        *,
        ignored: frozenset[int] = frozenset(),
        steady: frozenset[int] = frozenset(),
        pressed: frozenset[int] = frozenset(),
        from_scratch: bool = False,
    ) -> Reached:
        """ignored: goals that are not asked for at all. steady: goals that are asked for but give way to all others:
        what is reached of them is what the others leave. pressed: goals that weigh more from the start. from_scratch:
        without the fluence of the last call, which otherwise is where it begins."""
        ...


Replan = Callable[[GoalSet], tuple[float, ...]]
"""A deliverable plan made from scratch for a goal set, judged by the full dose: one value for each goal."""


@dataclass(frozen=True, eq=False)
class Extent:
    """structures: only goals of these are explained; (): of all. replan: used, beyond the budget of time, once for each
    change that is claimed."""

    structures: tuple[str, ...] = ()
    replan: Replan | None = None


@dataclass(frozen=True)
class Reason:
    """kind: 'overlap', 'distance', 'entrance', 'build-up', 'conflict', 'delivery' or 'weight'. numbers: (what, value,
    unit) behind the sentence, all computed."""

    kind: str
    sentence: str
    numbers: tuple[tuple[str, float, str], ...] = ()


@dataclass(frozen=True)
class Slope:
    """What the explained goal gains (in its unit, positive is better) for each unit that another goal's limit gives."""

    goal: str
    slope: float
    unit: str
    sentence: str


@dataclass(frozen=True)
class Change:
    """The smallest change of one other goal's limit found under which the explained goal passes. giver: number of that
    goal. value, room: the explained goal's value after it and what is left to its limit, in its unit, at `level`:
    'fluence' (beamlets from scratch) or 'deliverable' (a whole plan from scratch, full dose). deliverable_value: where
    a whole plan was made. tried: how many other goals were tried as givers."""

    giver: int
    structure: str
    metric: str
    unit: str
    limit_from: float
    limit_to: float
    value: float
    room: float
    level: str
    tried: int
    sentence: str
    deliverable_value: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Of one goal that the plan misses ('failed') or keeps with little room ('borderline'). goal: its number.

    floor: value that the coverage of overlapping targets forces by itself; None without overlap. alone: best value with
    nothing asked but coverage and this goal; together: with all goals asked; both of beamlet fluence, None where not
    computed. change: None where no single change that was tried suffices, or none was looked for; no_change says so.
    finished: False where the time ended first."""

    goal: int
    structure: str
    metric: str
    comparator: str
    limit: float
    unit: str
    value: float
    state: str
    sentence: str
    reasons: tuple[Reason, ...]
    floor: float | None = None
    alone: float | None = None
    together: float | None = None
    trade_offs: tuple[Slope, ...] = ()
    change: Change | None = None
    no_change: str = ""
    solves: int = 0
    seconds: float = 0.0
    finished: bool = True
