"""What is said of limits of the received plan that today's goals do not have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.contracts import OrganLimit
from appliance.session_reference import limit_notes

from ..planning.cases import cylinder_case, goal, goal_set

ALLOWED = "The received plan allows Core at most 14 Gy; "


@pytest.mark.parametrize(
    ("metric", "limit", "said"),
    [
        ("D0.1cc", 14.0, None),
        ("Max", 13.0, None),
        ("D0.03cc", 15.0, "today's goal is Core D0.03cc <= 15 Gy"),
        ("Mean", 9.0, "today's goals say nothing of its highest dose"),
        ("D2cc", 10.0, "today's goals say nothing of its highest dose"),
    ],
)
def test_a_limit_is_named_where_the_goals_are_less_strict(metric, limit, said):
    case = replace(cylinder_case(8.0), reference_limits=(OrganLimit("Core", 14.0),))
    goals = goal_set(goal("PTV", "D95%", ">=", 19.5), goal("Core", metric, "<=", limit))
    assert limit_notes(case, goals) == ([] if said is None else [ALLOWED + said])
