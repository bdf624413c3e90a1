"""Legal leaf paths: whatever goes in, every limit of the machine holds for what comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.planning.leaf_paths import PathLimits, legal, pairs_of_neighbours, penalty, violation_mm


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
