"""Goals judged again and again on one case: as the whole evaluation judges them, and none of them lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, Grade, Metric, Plan, Severity
from appliance.errors import EvaluationError, RefusedGoals
from appliance.evaluation import GoalEvaluator, evaluate, goals_for_case

from .conftest import GRID


def goal(text: str, *, variation: float | None = None, priority: int = 2) -> ClinicalGoal:
    structure, metric, comparator, limit, unit = text.split()
    parsed = Metric.parse(metric), Comparator(comparator), float(limit), unit
    return ClinicalGoal(structure, *parsed, priority, "A report", variation=variation)


def goal_set(*goals: ClinicalGoal, optional: tuple[str, ...] = ()) -> GoalSet:
    prescription = (("PTV", 50.0), *((name, 45.0) for name in optional))
    return GoalSet("set", "Set", "site", 25, prescription, goals, "d" * 64, optional_targets=optional)


def wedge() -> np.ndarray:
    """10 Gy at the first plane of x, 10 more at each next: in the target and in organs 50 and 60."""
    return np.broadcast_to(np.arange(10, 110, 10, dtype=np.float32), GRID.shape)


COVERAGE = goal("PTV D95% >= 50 Gy", priority=1)


def test_it_says_what_the_evaluation_says_for_every_dose(make_case, make_dose, facts) -> None:
    case = make_case("PTV", "Core", "Liver")
    goals = goal_set(COVERAGE, goal("Core Mean <= 50 Gy", variation=56.0), goal("Liver CV55Gy >= 2.5 cc"))
    evaluator = GoalEvaluator(case, goals_for_case(goals, case))
    for factor in (0.8, 1.0, 1.1):
        dose_gy = (wedge() * factor).astype(np.float32)
        whole = evaluate(case, goals, make_dose(dose_gy), facts)
        again = evaluator.judge(dose_gy)
        assert (again.results, again.findings) == (whole.goals, whole.findings)
        assert again.plan_score == whole.plan_score


def test_grades_and_cold_volume_by_hand(make_case) -> None:
    """The organs hold two voxels of 50 Gy and two of 60, 1 cc each: mean 55, 2 cc below 55 Gy."""
    case = make_case("PTV", "Core", "Liver")
    core = goal("Core Mean <= 50 Gy", variation=56.0)
    judged = GoalEvaluator(case, goal_set(COVERAGE, core, goal("Liver CV55Gy >= 2.5 cc"))).judge(wedge())
    assert [(r.value, r.grade) for r in judged.results] == [
        (pytest.approx(50), Grade.PASS),
        (pytest.approx(55), Grade.VARIATION),
        (pytest.approx(2), Grade.FAIL),
    ]
    # 80 % of 5 points at 50 Gy, 40 % at 56: at 55 a third of the way from 2 to 4 points
    assert judged.results[1].score == pytest.approx(2 + 2 / 6)
    assert (judged.plan_score.passed, judged.plan_score.variations, judged.plan_score.failed) == (1, 1, 1)
    assert judged.plan_score.max_score == 10 + 5 + 5


def found(judged) -> dict[str, str]:
    return {finding.id: finding.evidence for finding in judged.findings}


def test_a_missing_organ_is_a_finding_and_a_missing_dose_level_a_remark(make_case) -> None:
    case = make_case("PTV", "Core")
    goals = goal_set(COVERAGE, goal("Liver Mean <= 30 Gy"), goal("PTV_Low D95% >= 45 Gy"), optional=("PTV_Low",))
    judged = GoalEvaluator(case, goals_for_case(goals, case)).judge(wedge())
    assert [(f.id, f.severity) for f in judged.findings] == [
        ("goals.structure-missing", Severity.WARN),
        ("goals.structure-missing", Severity.INFO),
    ]
    assert "Liver Mean <= 30 Gy is not judged: the case has no structure Liver" in judged.findings[0].evidence
    assert judged.findings[0].source == "A report"


def test_reducing_twice_keeps_what_was_left_out(make_case) -> None:
    case = make_case("PTV", "Core")
    once = goals_for_case(goal_set(COVERAGE, goal("Liver Mean <= 30 Gy")), case)
    twice = goals_for_case(once, case)
    assert (twice.left_out, twice.digest) == (once.left_out, once.digest)
    assert len(once.left_out) == 1


def test_an_organ_without_volume_counts_as_missing_even_unreduced(make_case) -> None:
    case = make_case("PTV", "Core")
    empty = replace(case.structures[2].voxels, index=np.zeros(0, np.int32), fraction=np.zeros(0, np.float32))
    case = replace(case, structures=(*case.structures[:2], replace(case.structures[2], voxels=empty)))
    judged = GoalEvaluator(case, goal_set(COVERAGE, goal("Core Mean <= 30 Gy"))).judge(wedge())
    assert list(found(judged)) == ["goals.structure-missing"]
    assert len(judged.results) == 1


def test_a_metric_without_meaning_is_a_finding(make_case) -> None:
    """The organ has 4 cc: no dose to the hottest 10 cc. As an upper limit its maximum stands for it."""
    case = make_case("PTV", "Core")
    judged = GoalEvaluator(case, goal_set(COVERAGE, goal("Core D10cc >= 20 Gy"), goal("Core D10cc <= 60 Gy"))).judge(
        wedge()
    )
    assert "Core D10cc >= 20 Gy is not judged: Core has only 4.00 cc" in found(judged)["goals.metric-not-computable"]
    assert [r.value for r in judged.results] == [pytest.approx(50), 60]


def test_a_metric_without_meaning_on_a_target_stops(make_case) -> None:
    with pytest.raises(EvaluationError, match=r"PTV has only 8\.00 cc"):
        GoalEvaluator(make_case("PTV"), goal_set(COVERAGE, goal("PTV D10cc >= 20 Gy"))).judge(wedge())


def test_more_volume_than_there_is_is_a_finding_and_a_failed_goal(make_case) -> None:
    """700 cc of liver below 60 Gy, where 4 cc are contoured."""
    judged = GoalEvaluator(make_case("PTV", "Liver"), goal_set(COVERAGE, goal("Liver CV65Gy >= 700 cc"))).judge(wedge())
    assert "Liver has 4.0 cc on today's image" in found(judged)["goals.limit-beyond-structure"]
    assert (judged.results[1].value, judged.results[1].grade) == (pytest.approx(4), Grade.FAIL)


def test_contradictory_goals_are_named_and_judged(make_case) -> None:
    goals = goal_set(COVERAGE, goal("PTV Max <= 45 Gy"))
    judged = GoalEvaluator(make_case("PTV"), goals).judge(wedge())
    told = found(judged)["goals.contradictory"]
    assert told == "no dose meets both PTV D95% >= 50 Gy and PTV Max <= 45 Gy; correct the goal set"
    assert len(judged.results) == 2


def test_a_dose_that_leaves_out_part_of_an_organ(make_case) -> None:
    dose_gy = wedge().copy()
    dose_gy[:, 7:] = np.nan
    goals = goal_set(COVERAGE, goal("Core Mean <= 60 Gy"))
    judged = GoalEvaluator(make_case("PTV", "Core"), goals).judge(dose_gy)
    assert "50.0 % of it lies outside" in found(judged)["goals.dose-not-covering"]
    dose_gy[:, 5:] = np.nan
    with pytest.raises(EvaluationError, match="does not cover PTV"):
        GoalEvaluator(make_case("PTV", "Core"), goals).judge(dose_gy)


def test_goals_whose_scores_make_no_sense_are_refused_before_any_dose(make_case) -> None:
    with pytest.raises(RefusedGoals, match="stricter than its limit"):
        GoalEvaluator(make_case("PTV", "Core"), goal_set(COVERAGE, goal("Core Mean <= 30 Gy", variation=20.0)))


def test_goals_for_other_fractions_than_the_received_plan_ask_for_a_reason(make_case, make_dose, facts) -> None:
    case = make_case("PTV", "Core")
    for fractions, stops in ((5, True), (25, False), (0, False)):  # 0: the plan does not say
        received = replace(case, reference_plan=Plan("old", (), fractions, "HFS"))
        found = evaluate(received, goal_set(COVERAGE), make_dose(wedge()), facts)
        assert [finding.id for finding in found.stops] == ["goals.other-fractionation"] * stops
        assert found.needs_acknowledgement
        assert found.plan.fractions == 25
