"""Scores of goals by hand, and laws that hold for every goal: never better for a worse value, never a jump."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contracts import ClinicalGoal, Comparator, GoalResult, Grade, Metric
from appliance.contracts.goal_result import worst_first
from appliance.errors import RefusedGoals
from appliance.evaluation.scoring import Curve, max_score, score, score_curve

TARGETS = frozenset({"PTV"})


def goal(text: str, *, priority: int = 1, variation: float | None = None, points: Curve = ()) -> ClinicalGoal:
    structure, metric, comparator, limit, unit = text.split()
    parsed = Metric.parse(metric), Comparator(comparator), float(limit), unit
    return ClinicalGoal(structure, *parsed, priority, "source", variation=variation, points=points)


def scores(of: ClinicalGoal, *values: float) -> list[float]:
    curve = score_curve(of, TARGETS)
    return [score(curve, value) for value in values]


def test_an_organ_without_a_variation_by_hand() -> None:
    """26 Gy: all 10 points at 19.5 Gy, 8 at the limit, 4 half-way to 28.6 Gy, none there."""
    parotid = goal("Parotid_L Mean <= 26 Gy")
    assert scores(parotid, 10, 19.5, 22.75, 26, 27.3, 28.6, 40) == pytest.approx([10, 10, 9, 8, 4, 0, 0])


def test_an_organ_with_a_variation_by_hand() -> None:
    """20 Gy, tolerable to 24: of 5 points 4 at 20, 2 at 24, none from 28."""
    organ = goal("Core D10% <= 20 Gy", priority=2, variation=24.0)
    assert scores(organ, 15, 20, 22, 24, 26, 28, 30) == pytest.approx([5, 4, 3, 2, 1, 0, 0])


def test_coverage_by_hand() -> None:
    """All points at the limit: more than what is prescribed is no gain."""
    coverage = goal("PTV D95% >= 50 Gy", variation=48.0)
    assert scores(coverage, 60, 50, 49, 48, 47, 46, 0) == pytest.approx([10, 10, 7, 4, 2, 0, 0])
    hot = goal("PTV D10% <= 55 Gy", priority=3)
    assert scores(hot, 50, 55, 57.75, 60.5) == pytest.approx([2, 2, 1, 0])


def test_a_volume_that_must_stay_cold() -> None:
    """At least 700 cc below 15 Gy: more is better, up to 875 cc."""
    liver = goal("Liver CV15Gy >= 700 cc", priority=4)
    assert scores(liver, 900, 875, 700, 665, 630) == pytest.approx([1, 1, 0.8, 0.4, 0])


def test_a_share_cannot_be_better_than_all_or_nothing() -> None:
    assert scores(goal("Lung CV20Gy >= 90 %"), 100, 90) == pytest.approx([10, 8])
    assert scores(goal("Heart V30Gy <= 0 %"), 0, 0.5, 1) == pytest.approx([10, 5, 0])


def test_points_of_the_goal_file_are_taken() -> None:
    steps = goal("Core D10% <= 20 Gy", points=((10.0, 6.0), (20.0, 3.0), (22.0, 0.0)))
    assert scores(steps, 0, 15, 21, 30) == pytest.approx([6, 4.5, 1.5, 0])
    assert max_score(score_curve(steps, TARGETS)) == 6


@pytest.mark.parametrize(
    "points",
    [
        ((10.0, 1.0), (20.0, 3.0)),
        ((20.0, 3.0), (10.0, 5.0)),
        ((10.0, 3.0), (10.0, 1.0)),
        ((10.0, 3.0), (20.0, -1.0)),
        ((10.0, 0.0), (20.0, 0.0)),
        ((10.0, float("nan")), (20.0, 0.0)),
    ],
)
def test_points_that_reward_what_is_worse_are_refused(points: Curve) -> None:
    with pytest.raises(RefusedGoals, match="score points of Core D10% <= 20 Gy"):
        score_curve(goal("Core D10% <= 20 Gy", points=points), TARGETS)


def test_a_variation_stricter_than_its_limit_is_refused() -> None:
    with pytest.raises(RefusedGoals, match="stricter than its limit"):
        score_curve(goal("Core D10% <= 20 Gy", variation=18.0), TARGETS)
    with pytest.raises(RefusedGoals, match="stricter than its limit"):
        score_curve(goal("PTV D95% >= 50 Gy", variation=51.0), TARGETS)


@st.composite
def any_goal(draw: st.DrawFn) -> ClinicalGoal:
    metric, unit, most = draw(
        st.sampled_from([("D95%", "Gy", 80.0), ("Mean", "Gy", 80.0), ("V20Gy", "%", 100.0), ("CV15Gy", "cc", 2000.0)])
    )
    comparator = draw(st.sampled_from(Comparator))
    limit = draw(st.floats(0, most))
    weaker = draw(st.none() | st.floats(0, 0.3))
    sign = 1 if comparator is Comparator.AT_MOST else -1
    variation = None if weaker is None else limit + sign * weaker * max(limit, 1.0)
    structure = draw(st.sampled_from(["PTV", "Organ"]))
    parsed = Metric.parse(metric), comparator, limit, unit, draw(st.integers(1, 6))
    return ClinicalGoal(structure, *parsed, "source", variation=variation)


@given(any_goal(), st.floats(0, 2000), st.floats(0, 2000))
def test_a_worse_value_never_scores_more(of: ClinicalGoal, one: float, two: float) -> None:
    low, high = sorted((one, two))
    at_low, at_high = scores(of, low, high)
    better, worse = (at_low, at_high) if of.comparator is Comparator.AT_MOST else (at_high, at_low)
    assert better >= worse - 1e-9
    assert 0 <= worse <= max_score(score_curve(of, TARGETS))


@given(any_goal(), st.floats(0, 200))
def test_a_better_grade_never_scores_less(of: ClinicalGoal, value: float) -> None:
    """What is met earns at least 80 %, what is tolerable at least 40 %, what fails with a variation at most that."""
    full = max_score(score_curve(of, TARGETS))
    (earned,) = scores(of, value)
    match of.grade_of(value):
        case Grade.PASS:
            assert earned >= 0.8 * full - 1e-9
        case Grade.VARIATION:
            assert earned >= 0.4 * full - 1e-9
        case Grade.FAIL if of.variation is not None and of.variation != of.limit:
            assert earned <= 0.4 * full + 1e-9


@given(any_goal())
def test_curves_have_no_jump(of: ClinicalGoal) -> None:
    """Values rise strictly, so that straight lines join all points; the ends hold on."""
    curve = score_curve(of, TARGETS)
    values = [value for value, _ in curve]
    assert all(np.diff(values) > 0)
    assert scores(of, values[0] - 1, values[-1] + 1) == [curve[0][1], curve[-1][1]]


def test_worst_first() -> None:
    result = GoalResult("A", "Mean", "<=", 1.0, "Gy", 1.0, True, 2, "s", grade=Grade.PASS, score=4.0, max_score=5.0)
    goals = (
        result,
        replace(result, grade=Grade.VARIATION, priority=3),
        replace(result, grade=Grade.FAIL, priority=2, score=3.0),
        replace(result, grade=Grade.FAIL, priority=2, score=1.0),
        replace(result, grade=Grade.FAIL, priority=1, score=4.0),
        replace(result, priority=1),
    )
    assert worst_first(goals) == (4, 3, 2, 1, 5, 0)
