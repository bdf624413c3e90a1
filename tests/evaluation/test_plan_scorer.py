"""The score of bare goal values is the scorecard's, to the last bit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contracts import ClinicalGoal, Comparator, GoalSet, Metric
from appliance.errors import EvaluationError, RefusedGoals
from appliance.evaluation import GoalEvaluator, goals_for_case
from appliance.evaluation.plan_scorer import plan_scorer

from .conftest import GRID


def goal(text: str, *, priority: int = 1, variation: float | None = None) -> ClinicalGoal:
    structure, metric, comparator, limit, unit = text.split()
    parsed = Metric.parse(metric), Comparator(comparator), float(limit), unit
    return ClinicalGoal(structure, *parsed, priority, "A report", variation=variation)


GOALS = GoalSet(
    "set", "Set", "site", 25, (("PTV", 50.0),),
    (
        goal("PTV D95% >= 50 Gy"),
        goal("Core Mean <= 50 Gy", priority=2, variation=56.0),
        goal("Liver CV55Gy >= 2.5 cc", priority=3),
        goal("Core V40Gy <= 30 %", priority=4),
    ),
    "d" * 64,
)  # fmt: skip
VALUE = st.floats(0, 150) | st.just(math.nan)


def test_by_hand():
    """Coverage met: 10 of 10. Core 5 Gy of 6 beyond its limit: 2 + 2/6 of 5. Liver 2.0 cc where nothing is
    left at nine tenths of 2.5: 0 of 2. Core V40Gy is absent. 12.33 of 17."""
    assert plan_scorer(GOALS)((50.0, 55.0, 2.0, math.nan)) == pytest.approx(100 * (12 + 2 / 6) / 17)


@pytest.mark.parametrize("names", [("PTV", "Core", "Liver"), ("PTV", "Core"), ("PTV",)])
@pytest.mark.parametrize("factor", [0.3, 0.8, 1.0, 1.07])
def test_it_is_exactly_the_evaluations_score(make_case, names, factor):
    case = make_case(*names)
    dose_gy = np.broadcast_to(np.arange(10, 110, 10, dtype=np.float32) * factor, GRID.shape).astype(np.float32)
    judged = GoalEvaluator(case, goals_for_case(GOALS, case)).judge(dose_gy)
    found = {result.key: result.value for result in judged.results}
    keys = [(g.structure, str(g.metric), g.comparator.value) for g in GOALS.goals]
    values = tuple(found.get(key, math.nan) for key in keys)
    whole = judged.plan_score
    assert plan_scorer(GOALS)(values) == 100.0 * whole.score / whole.max_score


@given(st.tuples(VALUE, VALUE, VALUE, VALUE).filter(lambda values: not all(map(math.isnan, values))))
def test_always_a_share_of_the_most(values):
    assert 0.0 <= plan_scorer(GOALS)(values) <= 100.0


@given(st.lists(st.floats(0, 150), min_size=4, max_size=4), st.permutations(range(4)))
def test_the_order_of_goals_does_not_matter(values, order):
    turned = plan_scorer(replace(GOALS, goals=tuple(GOALS.goals[i] for i in order)))
    assert turned(tuple(values[i] for i in order)) == pytest.approx(plan_scorer(GOALS)(tuple(values)), rel=1e-12)


def test_what_cannot_be_scored_is_refused():
    percent = plan_scorer(GOALS)
    with pytest.raises(EvaluationError, match="3 values were given for the 4 goals of set"):
        percent((50.0, 50.0, 3.0))
    with pytest.raises(EvaluationError, match="none of the goals of set has a value"):
        percent((math.nan,) * 4)
    with pytest.raises(RefusedGoals, match="is stricter than its limit"):
        plan_scorer(replace(GOALS, goals=(goal("Core Mean <= 50 Gy", variation=40.0),)))
