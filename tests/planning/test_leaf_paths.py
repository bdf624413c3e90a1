"""Legal leaf paths: whatever goes in, every limit of the machine holds for what comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.planning.leaf_paths import PathLimits, beyond_span, legal, pairs_of_neighbours, penalty, violation_mm


def limits(
    travel_mm: float = 8.3, *, layers: tuple[int, ...] = (12,), interdigitation: bool = True, span_mm: float = 120.0
) -> PathLimits:
    return PathLimits(0.53, travel_mm, (-90.0, 55.0), (-55.0, 90.0), span_mm, layers, interdigitation)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    travel_mm=st.floats(0.5, 40.0),
    spread_mm=st.floats(1.0, 300.0),
    interdigitation=st.booleans(),
)
def test_any_path_becomes_legal(seed, travel_mm, spread_mm, interdigitation):
    rng = np.random.default_rng(seed)
    own = limits(travel_mm, layers=(7, 5), interdigitation=interdigitation)
    left, right = rng.normal(0.0, spread_mm, (2, 25, 12))
    assert violation_mm(*legal(left, right, own), own) <= 1e-9


def test_a_legal_path_stays_as_it_is():
    left = np.linspace(-20, 20, 15)[:, None] + np.zeros((1, 12))
    again = legal(left, left + 10.0, limits())
    np.testing.assert_array_equal(again[0], left)
    np.testing.assert_array_equal(again[1], left + 10.0)


def test_one_step_too_far_is_shared_by_its_ends():
    """30 mm in one interval where 10 mm are allowed: the two ends come 10 mm nearer each."""
    left = np.array([[0.0], [30.0]])
    mended, _ = legal(left, left + 20.0, limits(10.0, layers=(1,)))
    np.testing.assert_allclose(mended, [[10.0], [20.0]], atol=0.05)


def test_the_penalty_is_zero_on_legal_paths_and_its_slopes_are_right():
    own = limits(5.0, interdigitation=False)
    rng = np.random.default_rng(0)
    left = rng.uniform(-60, 40, (6, 12))
    right = left + rng.uniform(1, 20, left.shape)
    assert penalty(*legal(left, right, own), own)[0] == pytest.approx(0.0, abs=1e-12)
    _, by_left, by_right = penalty(left, right, own)
    for slope, change in ((by_left, "left"), (by_right, "right")):
        for index in ((0, 0), (2, 5), (5, 11)):
            step = np.zeros_like(left)
            step[index] = 1e-5
            up, down = (
                penalty(left + s * step * (change == "left"), right + s * step * (change == "right"), own)[0]
                for s in (1, -1)
            )
            assert slope[index] == pytest.approx((up - down) / 2e-5, abs=1e-4)


def test_layers_have_no_common_neighbours():
    assert pairs_of_neighbours(limits(layers=(2, 3))).tolist() == [[0, 1], [2, 3], [3, 4]]


def test_leaves_outside_the_span_are_those_furthest_from_the_rest():
    """Leaves at 0, 0, 0 and 130 with a span of 100: the stretch begins at m and ends at m + 100, and the squared ways
    3 m^2 + (30 - m)^2 are least at m = 7.5."""
    bank = np.array([[0.0, 0.0, 0.0, 130.0], [0.0, 10.0, 99.0, 100.0]])
    np.testing.assert_allclose(beyond_span(bank, 100.0), [[-7.5, -7.5, -7.5, 22.5], [0, 0, 0, 0]], atol=1e-6)


def test_a_bank_may_stand_anywhere_in_a_wide_field_but_not_everywhere_at_once():
    """All leaves at the right edge keep the span; one that stays at the left edge breaks it and is brought near."""
    own = PathLimits(0.5, 40.0, (-110.0, 110.0), (-110.0, 110.0), 150.0, (6,), interdigitation=True)
    left = np.full((4, 6), 80.0)
    np.testing.assert_array_equal(legal(left, left + 20.0, own)[0], left)
    left[:, 0] = -100.0
    mended, _ = legal(left, left + 20.0, own)
    assert np.ptp(mended, axis=1).max() == pytest.approx(150.0, abs=0.01)
