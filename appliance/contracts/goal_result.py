"""How a plan stands on one goal."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.contracts.goals import Grade


@dataclass(frozen=True)
class GoalResult:
    """`value` in `unit`; `met` is the comparison of the unrounded value with the limit. grade: with the acceptable
    variation taken into account; score of at most max_score (0: not scored)."""

    structure: str
    metric: str
    comparator: str
    limit: float
    unit: str
    value: float
    met: bool
    priority: int
    source: str
    approximate: bool = False
    grade: Grade = Grade.FAIL
    variation: float | None = None
    score: float = 0.0
    max_score: float = 0.0
    endpoint: str = ""
    doi: str = ""
    passage: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same goal in another plan's judgement."""
        return self.structure, self.metric, self.comparator


_WORST = {Grade.FAIL: 0, Grade.VARIATION: 1, Grade.PASS: 2}


def worst_first(goals: tuple[GoalResult, ...]) -> tuple[int, ...]:
    """Numbers of the goals: failed before acceptable variations before passed; within a grade the more important first,
    then by the share of its score that is lost, then in the order of the goal set."""

    def rank(number: int) -> tuple[int, int, float, int]:
        goal = goals[number]
        kept = goal.score / goal.max_score if goal.max_score > 0 else 1.0
        return _WORST[goal.grade], goal.priority, kept, number

    return tuple(sorted(range(len(goals)), key=rank))
