"""The goals of one case, prepared once and then judged again and again as its dose changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, ClinicalGoal, Comparator, Finding, GoalResult, GoalSet, MetricKind, PlanScore
from appliance.errors import EvaluationError
from appliance.evaluation import goal_findings
from appliance.evaluation.contradictions import contradictions
from appliance.evaluation.goal_conflicts import overlap_findings
from appliance.evaluation.judged import Judged, Outside, Regions, goal_value
from appliance.evaluation.scoring import Curve, max_score, score, score_curve
from engines.dvh import DoseVolume


@dataclass(frozen=True)
class GoalJudgement:
    """results: one for each goal that could be judged, in the order of the goal set; findings: one for each that could
    not, and for goals that contradict each other."""

    results: tuple[GoalResult, ...]
    findings: tuple[Finding, ...]

    @property
    def plan_score(self) -> PlanScore:
        return PlanScore.of(self.results)


class GoalEvaluator:
    """`goal_set` as `goals_for_case` gives it. Preparing unites, indexes and checks; `judge` then takes some 10 ms for
    a million voxels in structures with goals."""

    def __init__(self, case: Case, goal_set: GoalSet, regions: Regions | None = None) -> None:
        """Raises RefusedGoals for score points or variations that contradict their goal, EvaluationError for a target
        without volume."""
        self.case, self.goal_set = case, goal_set
        self.regions = Regions(case) if regions is None else regions
        self._targets = frozenset(name for name, _ in goal_set.prescription)
        self._curves: dict[ClinicalGoal, Curve] = {goal: score_curve(goal, self._targets) for goal in goal_set.goals}
        self._goals, self._static = self._prepared()

    def judge(self, dose_gy: NDArray[np.float32]) -> GoalJudgement:
        """dose_gy: (z, y, x) of the course in Gy on the case's image grid, NaN outside the dose grid. Raises
        EvaluationError where a goal on a target cannot be judged."""
        return self.judge_sampled(Judged(self.regions, dose_gy))

    def judge_sampled(self, judged: Judged) -> GoalJudgement:
        """The same for a dose whose structures other parts of the judgement use too."""
        results, findings = [], list(self._static)
        for goal in self._goals:
            volume = judged.sampled(goal.structure)
            if isinstance(volume, Outside):
                findings.append(self._unjudged(goal, goal_findings.not_covered(goal, volume.why)))
            elif _too_small(goal, volume):
                findings.append(self._unjudged(goal, goal_findings.not_computable(goal, volume.total)))
            else:
                results.append(self._result(goal, volume))
        return GoalJudgement(tuple(results), tuple(findings))

    def _prepared(self) -> tuple[tuple[ClinicalGoal, ...], tuple[Finding, ...]]:
        """Goals whose structures are there, and what can be said without a dose."""
        findings = [goal_findings.missing(goal) for goal in self.goal_set.left_out]
        goals, volumes_cc = [], {}
        for goal in self.goal_set.goals:
            try:
                region = self.regions.region(goal.structure)
            except EvaluationError:
                if self._of_target(goal):
                    raise
                findings.append(goal_findings.missing(goal))
                continue
            goals.append(goal)
            volumes_cc[goal.structure] = float(region.cc.sum(dtype=np.float64))
            if (finding := goal_findings.out_of_reach(goal, volumes_cc[goal.structure])) is not None:
                findings.append(finding)
        findings += [goal_findings.contradiction(*pair) for pair in contradictions(goals, volumes_cc)]
        findings += overlap_findings(self.goal_set, self.case, self.regions)
        received = self.case.reference_plan.fractions if self.case.reference_plan is not None else 0
        if received and received != self.goal_set.fractions:
            name = self.goal_set.name
            findings.append(goal_findings.other_fractionation(self.goal_set.fractions, received, name))
        return tuple(goals), tuple(findings)

    def _unjudged(self, goal: ClinicalGoal, finding: Finding) -> Finding:
        """The finding; of a target it stops the judgement."""
        if self._of_target(goal):
            raise EvaluationError(finding.evidence)
        return finding

    def _of_target(self, goal: ClinicalGoal) -> bool:
        return bool(self._targets & set(goal.structure.split("+")))

    def _result(self, goal: ClinicalGoal, volume: DoseVolume) -> GoalResult:
        value = goal_value(goal, volume)
        curve = self._curves[goal]
        return GoalResult(
            structure=goal.structure,
            metric=str(goal.metric),
            comparator=goal.comparator.value,
            limit=goal.limit,
            unit=goal.unit,
            value=value,
            met=goal.met_by(value),
            priority=goal.priority,
            source=goal.source,
            approximate=goal.approximate,
            grade=goal.grade_of(value),
            variation=goal.variation,
            score=score(curve, value),
            max_score=max_score(curve),
            endpoint=goal.endpoint,
            doi=goal.doi,
            passage=goal.passage,
        )


def _too_small(goal: ClinicalGoal, volume: DoseVolume) -> bool:
    """A structure smaller than x cc reports its maximum as D_xcc: safe for an upper limit, no judgement of a lower
    one."""
    is_dose_at_cc = goal.metric.kind is MetricKind.DOSE_AT_CC and goal.metric.argument > volume.total
    return is_dose_at_cc and goal.comparator is Comparator.AT_LEAST
