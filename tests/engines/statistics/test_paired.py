"""Paired comparisons: cases worked out by hand, and what an interval must do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import EngineError
from engines.statistics import paired


def test_six_gains_in_six_cases():
    """Of the 2^6 signs two are as extreme: p = 2 / 64."""
    found = paired(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert found.p == pytest.approx(2 / 64)
    assert (found.mean, found.better, found.worse) == (3.5, 6, 0)
    assert found.low > 0


def test_gains_and_losses_of_one_size_say_nothing():
    found = paired(np.array([1.0, -1.0, 2.0, -2.0, 3.0, -3.0]))
    assert found.p == pytest.approx(1.0)
    assert found.low < 0 < found.high


def test_no_difference_at_all():
    found = paired(np.zeros(5))
    assert (found.mean, found.low, found.high, found.p, found.better, found.worse) == (0, 0, 0, 1, 0, 0)


def test_the_interval_is_as_wide_as_theory_has_it():
    """Of 400 values of deviation 2 the mean has deviation 0.1: 95 % within 0.196 on either side."""
    found = paired(np.random.default_rng(3).normal(1.0, 2.0, 400))
    assert found.high - found.low == pytest.approx(2 * 0.196, rel=0.1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30))
def test_the_mirror_image_has_the_mirrored_mean_and_the_same_p(values):
    difference = np.array(values)
    one, other = paired(difference), paired(-difference)
    assert other.mean == -one.mean
    assert other.p == pytest.approx(one.p)
    assert (other.better, other.worse) == (one.worse, one.better)


@pytest.mark.parametrize("wrong", [[1.0], [], [1.0, float("nan")], [1.0, float("inf")]])
def test_too_few_and_no_numbers_are_refused(wrong):
    with pytest.raises(EngineError):
        paired(np.array(wrong))
