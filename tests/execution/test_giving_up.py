"""Which goal gives way, decided by hand on small sets of goals."""

from __future__ import annotations

import math

from appliance.contracts import GoalConflict
from appliance.execution.concede import goal_to_give_up

from ..planning.cases import goal, goal_set

TARGET, CORD, PAROTID, LARYNX = (
    goal("PTV", "D99%", ">=", 20.0),
    goal("SpinalCord", "D0.1cc", "<=", 15.0),
    goal("Parotid", "Mean", "<=", 8.0, priority=3),
    goal("Larynx", "Mean", "<=", 10.0, priority=3),
)
GOALS = goal_set(TARGET, CORD, PAROTID, LARYNX)
NOTHING: frozenset[int] = frozenset()


def given_up(values, *conflicts, before=NOTHING, room=0.0):
    found = tuple(GoalConflict(number, against, "") for number, against in conflicts)
    return goal_to_give_up(GOALS, values, found, given_up=before, room=room)


def test_the_strongest_opponent_of_lower_priority_gives_way():
    assert given_up((19.0, 14.0, 7.9, 9.9), (0, (1, 3, 2))) == 3
    assert given_up((19.0, 14.0, 7.9, 9.9), (0, (1, 3, 2)), before=frozenset({3})) == 2


def test_coverage_and_goals_of_equal_priority_never_give_way_to_a_target():
    assert given_up((19.0, 14.9, 7.9, 9.9), (0, (1,))) is None
    assert given_up((20.1, 14.9, 8.2, 9.9), (2, (0,))) is None


def test_nothing_gives_way_while_all_is_met_or_missed_by_less_than_asked_about():
    assert given_up((20.1, 14.0, 7.9, 9.9), (0, (2,))) is None
    assert given_up((19.95, 14.0, 7.9, 9.9), (0, (2,)), room=-0.005) is None
    assert given_up((19.0, 14.0, 7.9, 9.9), (0, (2,)), room=-0.005) == 2


def test_of_two_equals_that_stand_against_each_other_the_one_further_off_gives_way():
    assert given_up((20.1, 14.0, 8.4, 10.1), (2, (3,)), (3, (2,))) == 2
    assert given_up((20.1, 14.0, 8.1, 12.0), (2, (3,)), (3, (2,))) == 3


def test_a_lone_miss_that_holds_nobody_stays_a_goal():
    assert given_up((20.1, 14.0, 9.0, 9.9), (2, (0, 3))) is None


def test_absent_structures_are_no_misses():
    assert given_up((20.1, math.nan, 7.9, math.nan), (1, (2,))) is None
