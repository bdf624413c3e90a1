"""The adapted plan beside the scheduled one and beside what a network predicts, goal by goal.

A predicted dose belongs to no plan. It is judged in a type of its own, which is no Evaluation and has no digest of a
plan or dose: nothing that approves, signs or exports takes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.contracts.goal_result import GoalResult
from appliance.contracts.goals import Grade

if TYPE_CHECKING:
    from appliance.contracts.evaluation import Evaluation

PREDICTED_LABEL = "predicted, not calculated: guides planning, never for approval"


@dataclass(frozen=True)
class PredictedJudgement:
    """Goals on a predicted dose. model: which network said so; label goes wherever a number of it is shown."""

    goals: tuple[GoalResult, ...]
    model: str
    label: str = PREDICTED_LABEL


@dataclass(frozen=True)
class PlanScore:
    """Sum of the goals' scores, the most that it could be, and how many goals have which grade."""

    score: float
    max_score: float
    passed: int
    variations: int
    failed: int

    @staticmethod
    def of(goals: tuple[GoalResult, ...]) -> PlanScore:
        counts = [sum(goal.grade is grade for goal in goals) for grade in (Grade.PASS, Grade.VARIATION, Grade.FAIL)]
        return PlanScore(sum(goal.score for goal in goals), sum(goal.max_score for goal in goals), *counts)


@dataclass(frozen=True)
class Standing:
    value: float
    grade: Grade
    score: float


@dataclass(frozen=True)
class GoalComparison:
    """One goal of the adapted plan; None where the other dose was not judged on it. over_scheduled, over_predicted: the
    adapted plan's score less the other's."""

    structure: str
    metric: str
    comparator: str
    limit: float
    unit: str
    max_score: float
    adapted: Standing
    scheduled: Standing | None = None
    predicted: Standing | None = None
    over_scheduled: float | None = None
    over_predicted: float | None = None


@dataclass(frozen=True)
class Comparison:
    """In the order of the adapted plan's goals. The three plan scores add up only the goals that each was judged on;
    the differences only the goals that both were."""

    goals: tuple[GoalComparison, ...]
    adapted: PlanScore
    scheduled: PlanScore | None = None
    predicted: PlanScore | None = None
    over_scheduled: float | None = None
    over_predicted: float | None = None
    predicted_model: str = ""
    predicted_label: str = ""

    @staticmethod
    def of(
        adapted: Evaluation, scheduled: Evaluation | None = None, predicted: PredictedJudgement | None = None
    ) -> Comparison:
        before = {goal.key: goal for goal in scheduled.goals} if scheduled else {}
        wished = {goal.key: goal for goal in predicted.goals} if predicted else {}
        rows = tuple(_row(goal, before.get(goal.key), wished.get(goal.key)) for goal in adapted.goals)
        return Comparison(
            rows,
            PlanScore.of(adapted.goals),
            PlanScore.of(scheduled.goals) if scheduled else None,
            PlanScore.of(predicted.goals) if predicted else None,
            sum(row.over_scheduled or 0.0 for row in rows) if scheduled else None,
            sum(row.over_predicted or 0.0 for row in rows) if predicted else None,
            predicted.model if predicted else "",
            predicted.label if predicted else "",
        )


def _row(goal: GoalResult, before: GoalResult | None, wished: GoalResult | None) -> GoalComparison:
    return GoalComparison(
        *(goal.structure, goal.metric, goal.comparator, goal.limit, goal.unit, goal.max_score),
        adapted=_standing(goal),
        scheduled=_standing(before) if before else None,
        predicted=_standing(wished) if wished else None,
        over_scheduled=goal.score - before.score if before else None,
        over_predicted=goal.score - wished.score if wished else None,
    )


def _standing(goal: GoalResult) -> Standing:
    return Standing(goal.value, goal.grade, goal.score)
