"""What a lever may do, by hand and as laws: legal means possible, and no path leaves the ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contracts import Objective, ObjectiveKind
from appliance.errors import PlanningError
from appliance.execution.steering.changes import (
    Change,
    Lever,
    Position,
    ask_range,
    check_setting,
    first_setting,
    is_legal,
    moved,
    objective_at,
    objectives_at,
    weight_range,
)
from appliance.execution.steering.levers import levers_of

from ...planning.cases import goal, goal_set

KINDS = ObjectiveKind
MEAN = Objective("Core", KINDS.MEAN_DOSE, 8.0, 40.0, goal=2)
VOLUME = Objective("Core", KINDS.DVH_MAX, 12.0, 60.0, volume_percent=70.0, goal=3)
COVERAGE = Objective("PTV", KINDS.DVH_MIN, 19.6, 1200.0, volume_percent=95.0, goal=0)
HOT = Objective("External", KINDS.SQUARED_OVERDOSE, 21.8, 1e4, hot_spot=True)
FALLOFF = Objective("External!PTV", KINDS.FALLOFF, 20.0, 4.0)
RING = Objective("PTV^15!PTV^5", KINDS.SQUARED_OVERDOSE, 17.0, 20.0)
GOALS = goal_set(
    goal("PTV", "V19.5Gy", ">=", 95.0, unit="%"), goal("PTV", "D2%", "<=", 21.0), goal("Core", "Mean", "<=", 8.0),
    goal("Core", "V12Gy", "<=", 70.0, unit="%"),
)  # fmt: skip
LEVERS = levers_of(GOALS, (MEAN, VOLUME, COVERAGE, HOT, FALLOFF), (RING,))


def test_levers_know_what_they_steer():
    assert [lever.of_target for lever in LEVERS] == [False, False, True, False, False, False]
    assert [lever.by_volume for lever in LEVERS] == [False, True, False, False, False, False]
    assert [lever.offered for lever in LEVERS] == [False] * 5 + [True]
    assert first_setting(LEVERS) == (*(Position() for _ in range(5)), Position(active=False))
    assert objectives_at(LEVERS, first_setting(LEVERS)) == (MEAN, VOLUME, COVERAGE, HOT, FALLOFF)


@pytest.mark.parametrize(
    ("number", "change", "weight", "dose_gy", "volume_percent"),
    [
        (0, Change.RAISE, 80.0, 8.0, 0.0),
        (0, Change.LOWER, 20.0, 8.0, 0.0),
        (0, Change.TIGHTEN, 40.0, 8.0 * 0.96, 0.0),
        (0, Change.RELAX, 40.0, 8.0 * 1.04, 0.0),
        (1, Change.TIGHTEN, 60.0, 12.0, 63.0),
        (1, Change.RELAX, 60.0, 12.0, 77.0),
        (2, Change.TIGHTEN, 1200.0, 19.6 * 1.005, 95.0),
        (2, Change.RELAX, 1200.0, 19.6 * 0.995, 95.0),
    ],
)
def test_one_change_by_hand(number, change, weight, dose_gy, volume_percent):
    """A cap is tighter with less, a floor with more."""
    found = objective_at(LEVERS[number], moved(LEVERS[number], Position(), change))
    assert (found.weight, found.dose_gy, found.volume_percent) == (
        weight, pytest.approx(dose_gy), pytest.approx(volume_percent),
    )  # fmt: skip


def legal_at(lever: Lever, position: Position) -> set[str]:
    return {change.name for change in Change if is_legal(lever, position, change)}


def test_what_is_legal_by_hand():
    every = {"KEEP", "RAISE", "LOWER", "TIGHTEN", "RELAX"}
    assert [legal_at(lever, position) for lever, position in zip(LEVERS, first_setting(LEVERS), strict=True)] == [
        every, every, every, {"KEEP", "RAISE"}, {"KEEP", "RAISE", "LOWER"}, {"KEEP", "ADD"},
    ]  # fmt: skip
    assert legal_at(LEVERS[5], Position()) == every
    assert "RAISE" not in legal_at(LEVERS[0], Position(weight=64.0))
    assert "LOWER" not in legal_at(LEVERS[0], Position(weight=1 / 16))


def test_a_volume_never_passes_the_whole():
    """70 % may grow to 77, 84, 91 and 98 % and no further."""
    position, asked = Position(), []
    while is_legal(LEVERS[1], position, Change.RELAX):
        position = moved(LEVERS[1], position, Change.RELAX)
        asked.append(objective_at(LEVERS[1], position).volume_percent)
    assert asked == pytest.approx([77, 84, 91, 98])


@pytest.mark.parametrize("first", [Objective("Core", KINDS.DVH_MAX, 0.0, 1.0, goal=2), FALLOFF, HOT])
def test_nothing_is_not_scaled(first):
    (lever,) = levers_of(GOALS, (first,))
    assert ask_range(lever) == (1.0, 1.0)


@given(st.integers(0, len(LEVERS) - 1), st.lists(st.sampled_from(Change), max_size=40))
def test_no_path_leaves_the_ranges(number, changes):
    lever, setting = LEVERS[number], list(first_setting(LEVERS))
    for change in changes:
        if is_legal(lever, setting[number], change):
            setting[number] = moved(lever, setting[number], change)
        else:
            with pytest.raises(PlanningError, match="is not possible"):
                moved(lever, setting[number], change)
        check_setting(LEVERS, tuple(setting))
    low, high = weight_range(lever)
    assert low <= setting[number].weight <= high


@given(st.sampled_from(range(5)), st.sampled_from([(Change.RAISE, Change.LOWER), (Change.TIGHTEN, Change.RELAX)]))
def test_opposite_changes_cancel(number, pair):
    lever = LEVERS[number]
    for one, other in (pair, pair[::-1]):
        if is_legal(lever, Position(), one):
            back = moved(lever, moved(lever, Position(), one), other)
            assert (back.weight, back.ask) == (1.0, pytest.approx(1.0))
