"""What a planner wants in states made by hand: what comes first, and what has to wait."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.contracts import GoalSet, Objective, ObjectiveKind, PlanningState
from appliance.execution.policies.habits import Kind, Seen, Wish, pushes, trials
from appliance.execution.steering.changes import Change, Position, Setting, first_setting
from appliance.execution.steering.levers import levers_of
from appliance.execution.steering.policy import Observation, View

from ....planning.cases import goal, goal_set

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 20.0),
    goal("Cord", "D0.1cc", "<=", 10.0),
    goal("Lung", "V5Gy", "<=", 30.0, unit="%", priority=2),
    goal("Liver", "CV5Gy", ">=", 700.0, unit="cc", priority=3),
)
FIRST = (
    Objective("PTV", ObjectiveKind.DVH_MIN, 20.1, 100.0, volume_percent=95.0, goal=0),
    Objective("Cord", ObjectiveKind.SQUARED_OVERDOSE, 9.85, 100.0, goal=1),
    Objective("Lung", ObjectiveKind.DVH_MAX, 4.9, 40.0, volume_percent=29.5, goal=2),
    Objective("Liver", ObjectiveKind.DVH_MAX, 4.9, 20.0, volume_percent=30.0, goal=3),
    Objective("External", ObjectiveKind.SQUARED_OVERDOSE, 21.8, 1000.0, hot_spot=True),
)
RING = (Objective("PTV^15!PTV^5", ObjectiveKind.SQUARED_OVERDOSE, 17.0, 20.0),)
TARGET, CORD, LUNG, LIVER, BODY = range(5)
NO_NUMBERS = Observation(np.zeros((0, 0), np.float32), np.zeros(0, np.float32), np.zeros((0, 0), np.bool_))
MET = {"target": 20.2, "cord": 9.9, "lung": 29.0, "liver": 720.0, "hottest": 22.0}


def seen(setting: Setting | None = None, goals: GoalSet = GOALS, **changed: float) -> Seen:
    """Levers as of the template; the hot-spot limit is 22.4 Gy."""
    values = {**MET, **changed}
    levers = levers_of(goals, FIRST, RING)
    hottest_gy = values.pop("hottest")
    state = PlanningState(tuple(values.values()), 1.0, hottest_gy, 1, "by hand")
    stands = first_setting(levers) if setting is None else setting
    return Seen.of(View(goals, levers, stands, state, {}, 90.0, 98.0, (), 5, NO_NUMBERS))


def told(wishes: list[Wish]) -> list[tuple[int, Change, Kind]]:
    return [(wish.lever, wish.change, wish.kind) for wish in wishes]


def test_where_all_is_met_organs_are_spared_by_priority_and_nothing_is_pushed():
    assert pushes(seen()) == []
    assert told(trials(seen())) == [
        (CORD, Change.TIGHTEN, Kind.SPARING),
        (LUNG, Change.TIGHTEN, Kind.SPARING),
        (LIVER, Change.TIGHTEN, Kind.SPARING),
    ]


@pytest.mark.parametrize(("dose_gy", "change"), [(19.0, Change.RAISE), (19.96, Change.TIGHTEN)])
def test_missed_coverage_is_pushed_by_weight_and_a_small_miss_by_asking_more(dose_gy, change):
    assert told(pushes(seen(target=dose_gy))) == [(TARGET, change, Kind.MISSED)]


def test_a_hot_spot_is_pushed_beside_coverage():
    found = told(pushes(seen(target=19.0, hottest=22.6)))
    assert found == [(TARGET, Change.RAISE, Kind.MISSED), (BODY, Change.RAISE, Kind.MISSED)]


def test_organs_wait_for_coverage_but_those_of_the_first_priority_only_for_a_clear_miss():
    clear, slight = told(trials(seen(target=19.0))), told(trials(seen(target=19.9)))
    assert all(kind is Kind.GIVING_WAY for _, _, kind in clear)
    assert (CORD, Change.TIGHTEN, Kind.SPARING) in slight


def test_a_missed_goal_comes_before_sparing_and_what_is_less_important_waits():
    found = told(trials(seen(lung=31.0)))
    assert found[0] == (LUNG, Change.RAISE, Kind.MISSED)
    assert (CORD, Change.TIGHTEN, Kind.SPARING) in found
    assert all(kind is Kind.GIVING_WAY for lever, _, kind in found if lever == LIVER)


def test_a_volume_that_must_stay_cold_is_pushed_where_too_little_is_left():
    assert told(trials(seen(liver=690.0)))[0] == (LIVER, Change.RAISE, Kind.MISSED)


def test_a_goal_far_out_of_reach_gives_way_to_coverage_and_comes_last_afterwards():
    assert (LIVER, Change.LOWER, Kind.GIVING_WAY) in told(pushes(seen(target=19.0, liver=500.0)))
    lowered = tuple(Position(weight=0.125 if number == LIVER else 1.0, active=number < 5) for number in range(6))
    assert told(trials(seen(lowered, liver=500.0)))[-1] == (LIVER, Change.RAISE, Kind.OUT_OF_REACH)


def test_a_quarter_below_its_limit_an_organ_is_left_alone():
    assert all(lever != CORD for lever, _, _ in told(trials(seen(cord=7.4))))


def test_an_organ_that_does_not_follow_is_pressed_by_weight():
    asked = tuple(Position(ask=0.8 if number == CORD else 1.0, active=number < 5) for number in range(6))
    assert (CORD, Change.RAISE, Kind.SPARING) in told(trials(seen(asked)))


def test_absent_structures_are_passed_over():
    found = [*pushes(seen(lung=float("nan"))), *trials(seen(lung=float("nan")))]
    assert all(wish.lever != LUNG for wish in found)
