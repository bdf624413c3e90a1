"""Seconds by hand, and by what any time must obey: no axis faster than it can, no gantry quicker off than it can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.delivery import AxisLimit, MotionLimits, Trajectory, beam_time, rest_to_rest_s
from engines.errors import EngineError

LIMITS = MotionLimits(
    gantry=AxisLimit(6.0, 2.0),
    leaves=AxisLimit(25.0),
    jaws=AxisLimit(20.0),
    collimator=AxisLimit(15.0),
    couch=AxisLimit(0.0),
    most_mu_s=10.0,
)


def path(mu, gantry, leaves=None, jaws=None, collimator=None, couch=None) -> Trajectory:
    n = len(mu)
    tips = np.zeros((n, 2)) if leaves is None else np.array(leaves, float).reshape(n, -1)
    edges = np.zeros((n, 4)) if jaws is None else np.array(jaws, float)
    still = np.zeros(n)
    return Trajectory(
        np.array(mu, float),
        np.array(gantry, float),
        still if collimator is None else np.array(collimator, float),
        still if couch is None else np.array(couch, float),
        tips,
        edges,
    )


@pytest.mark.parametrize(
    ("distance", "limit", "seconds"),
    [
        (0.0, AxisLimit(0.0), 0.0),
        (50.0, AxisLimit(25.0), 2.0),
        (-50.0, AxisLimit(25.0), 2.0),
        (1.0, AxisLimit(0.0), np.inf),
        # 90 deg at 6 deg/s: 15 s, and 3 s more because 6/2 s go into speeding up and slowing down
        (90.0, AxisLimit(6.0, 2.0), 18.0),
        # 8 deg never reach 6 deg/s: 4 deg at 2 deg/s2 take 2 s, twice
        (8.0, AxisLimit(6.0, 2.0), 4.0),
        # 18 deg just reach it: 9 deg take 3 s, twice
        (18.0, AxisLimit(6.0, 2.0), 6.0),
    ],
)
def test_one_axis_from_rest_to_rest(distance, limit, seconds):
    assert rest_to_rest_s(distance, limit) == pytest.approx(seconds)


def test_a_step_and_shoot_beam_is_dose_then_move_then_dose():
    made = beam_time(path([0, 50, 50, 80], [0] * 4, leaves=[0, 0, 20, 20]), LIMITS)
    np.testing.assert_allclose(made.seconds, [5.0, 0.8, 3.0])
    assert made.slowest == ("dose", "leaves", "dose")
    assert (made.beam_on_s, made.moving_s, made.total_s) == pytest.approx((8.0, 0.8, 8.8))


def test_an_arc_at_full_gantry_speed_takes_its_turn_and_the_run_up():
    angles = np.linspace(0.0, 180.0, 91)
    made = beam_time(path(np.linspace(0, 30, 91), angles), LIMITS)
    assert made.total_s == pytest.approx(180 / 6 + 6 / 2)
    assert made.running_s.sum() == pytest.approx(180 / 6)
    assert set(made.slowest) == {"gantry"}


def test_an_arc_that_the_dose_slows_down_turns_at_the_doses_speed():
    # 900 MU over 180 deg at 10 MU/s: 90 s, which is 2 deg/s; the run-up to 2 deg/s costs 2/2 s
    made = beam_time(path(np.linspace(0, 900, 91), np.linspace(0, 180, 91)), LIMITS)
    assert made.total_s == pytest.approx(90 + 1)
    assert set(made.slowest) == {"dose"}


def test_a_slow_interval_costs_the_braking_before_and_after_it():
    # 40 deg, then 20 deg in which the leaves need 10 s (2 deg/s), then 40 deg. Braking from 6 to 2 deg/s takes 2 s and
    # 8 deg instead of 8/6 s: 2/3 s more; so does speeding up again; the ends take 1.5 s more each.
    made = beam_time(path([0, 1, 2, 3], [0, 40, 60, 100], leaves=[0, 0, 250, 250]), LIMITS)
    np.testing.assert_allclose(made.seconds, [40 / 6 + 1.5 + 2 / 3, 10.0, 40 / 6 + 1.5 + 2 / 3])
    assert made.slowest == ("gantry", "leaves", "gantry")


def test_a_gantry_that_turns_round_stops_in_between():
    there = beam_time(path([0, 1, 2], [0, 90, 180]), LIMITS).total_s
    back = beam_time(path([0, 1, 2], [0, 90, 0]), LIMITS).total_s
    assert (there, back) == pytest.approx((180 / 6 + 3, 2 * (90 / 6 + 3)))


def test_an_axis_that_does_not_turn_needs_for_ever():
    made = beam_time(path([0, 1], [0, 0], couch=[0, 1]), LIMITS)
    assert np.isinf(made.total_s)
    assert made.slowest == ("couch",)


def test_leaves_with_an_acceleration_start_from_rest_only_where_they_move_alone():
    limits = MotionLimits(LIMITS.gantry, AxisLimit(25.0, 50.0), LIMITS.jaws, LIMITS.collimator, LIMITS.couch, 10.0)
    # 100 mm at 25 mm/s: 4 s; 0.5 s more from rest to rest; none with the beam on, where they run through
    made = beam_time(path([0, 0, 1], [0, 0, 0], leaves=[0, 100, 200]), limits)
    np.testing.assert_allclose(made.seconds, [4.5, 4.0])


def quick(acceleration: float | None = 50.0) -> MotionLimits:
    return replace(LIMITS, leaves=AxisLimit(25.0, acceleration))


def test_a_leaf_that_turns_round_takes_the_time_to_do_so():
    """25 mm to and 25 mm fro with the beam on: 1 s each at 25 mm/s, as 50 mm/s of change at 50 mm/s2 take just the
    second between the middles. 4 mm to and fro: both T, 2 x 4 / T = 50 T, T = 0.4 s instead of 0.16 s."""
    for way, each in ((25.0, 1.0), (4.0, 0.4)):
        made = beam_time(path([0, 1, 2], [0, 0, 0], leaves=[0, way, 0]), quick())
        np.testing.assert_allclose(made.running_s, [each, each], rtol=1e-6)
        assert made.slowest == ("leaves", "leaves")
        # from rest: 4 mm = 50 / 2 T^2, T = 0.4 s as well
        np.testing.assert_allclose(made.seconds, [each, each], rtol=1e-6)


def test_a_leaf_that_goes_on_at_its_speed_needs_no_more_time():
    made = beam_time(path([0, 1, 2, 3], [0, 0, 0, 0], leaves=[0, 4, 8, 12]), quick())
    np.testing.assert_allclose(made.running_s, [0.16, 0.16, 0.16])
    # the first and last from and to rest, and so quick is the one between only as its neighbours let it be
    assert made.seconds[0] == made.seconds[2] == pytest.approx(0.4)
    assert 0.16 <= made.seconds[1] < 0.4


def test_a_leaf_that_turns_round_slows_the_gantry_down():
    """1 degree takes 1/6 s; the leaf that moves 4 mm and back needs 0.4 s for each. From 6
    to 2.5 degrees a second the gantry brakes over 7.4 degrees, and further away nothing changes."""
    turn, mu = np.arange(41.0), np.arange(41.0) * 0.1
    leaf = np.zeros(41)
    leaf[20] = 4.0
    made, still = (beam_time(path(mu, turn, leaves=leaf), limits) for limits in (quick(), quick(None)))
    assert np.all(made.running_s[19:21] >= 0.4 * (1 - 1e-6))
    assert np.all(made.running_s >= still.running_s * (1 - 1e-9))
    assert made.running_s[0] == pytest.approx(still.running_s[0])


@pytest.mark.parametrize("broken", [path([0], [0]), path([0, 1], [0, 1, 2], leaves=[0, 0])])
def test_what_is_no_path_is_refused(broken):
    with pytest.raises(EngineError, match="trajectory"):
        beam_time(broken, LIMITS)


steps = st.lists(
    st.tuples(st.floats(0, 20), st.sampled_from([0.0, 0.5, 2.0, -2.0, 30.0]), st.floats(-60, 60)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(steps=steps)
def test_any_beam_takes_at_least_what_each_axis_needs_and_no_more_than_stopping_everywhere(steps):
    mu, turn, leaf = (np.cumsum([0.0, *(step[i] for step in steps)]) for i in range(3))
    made = beam_time(path(mu, turn, leaves=np.stack([leaf, leaf], axis=1)), LIMITS)
    dose, way, travel = np.diff(mu) / 10.0, np.abs(np.diff(turn)), np.abs(np.diff(leaf)) / 25.0
    alone = np.array([rest_to_rest_s(float(one), LIMITS.gantry) for one in way])
    # running_s is at most seconds: who need not start from rest is never later
    assert np.all(made.running_s <= made.seconds * (1 + 1e-9) + 1e-9)
    for floor in (dose, travel, way / 6.0):
        assert np.all(made.running_s >= floor * (1 - 1e-9) - 1e-9)
    assert np.all(made.seconds <= np.maximum(dose, travel) + alone + 1e-6)
    assert made.total_s == pytest.approx(float(made.seconds.sum()))


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(st.floats(0.5, 20), min_size=2, max_size=20), mu=st.lists(st.floats(0, 30), min_size=2))
def test_mean_gantry_speeds_never_change_faster_than_the_gantry_accelerates(turns, mu):
    """Between the middles (in time) of two intervals speed changes by at most the acceleration times the time."""
    count = min(len(turns), len(mu))
    made = beam_time(path(np.cumsum([0.0, *mu[:count]]), np.cumsum([0.0, *turns[:count]])), LIMITS)
    speed = np.array(turns[:count]) / made.seconds
    assert np.all(speed <= 6.0 * (1 + 1e-9))
    between = (made.seconds[:-1] + made.seconds[1:]) / 2
    assert np.all(np.abs(np.diff(speed)) <= 2.0 * between * (1 + 1e-6) + 1e-9)


def test_a_dose_of_almost_nothing_takes_no_time_of_its_own():
    """Beside a turn, the smallest number of monitor units that a float can hold is none."""
    turn = np.array([0.0, 1.0, 3.0])
    least, none = (beam_time(path(np.array([0.0, 0.0, mu]), turn), LIMITS).seconds for mu in (8e-308, 0.0))
    np.testing.assert_allclose(least, none, rtol=1e-9)


@settings(max_examples=80, deadline=None)
@given(steps=steps, acceleration=st.floats(5.0, 1000.0))
def test_no_leaf_changes_its_speed_faster_than_it_accelerates(steps, acceleration):
    """Between the middles of two intervals of a moving beam, and from and to rest at its ends; and no interval takes
    longer for it than any leaf needs to turn round."""
    mu, turn, leaf = (np.cumsum([0.0, *(step[i] for step in steps)]) for i in range(3))
    leaves = np.stack([leaf, -0.5 * leaf], axis=1)
    made, quicker = (beam_time(path(mu, turn, leaves=leaves), quick(a)) for a in (acceleration, None))
    alone = (np.diff(mu) <= 0) & (np.diff(turn) == 0)
    ways = np.where(alone[:, None], 0.0, np.diff(leaves, axis=0))
    for seconds in (made.seconds, made.running_s):
        speed = np.divide(ways, seconds[:, None], out=np.zeros_like(ways), where=seconds[:, None] > 0)
        between = (seconds[:-1] + seconds[1:]) / 2
        assert np.all(np.abs(np.diff(speed, axis=0)).max(axis=1, initial=0.0) <= acceleration * between * (1 + 1e-6))
    for end in (0, -1):
        assert np.abs(ways[end]).max() <= acceleration * made.seconds[end] ** 2 / 2 * (1 + 1e-6)
    assert np.all(made.running_s >= quicker.running_s * (1 - 1e-9) - 1e-12)
