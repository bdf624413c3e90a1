"""bench/vmat_start.py: proposals with errors are legal, and the time to a merit is read off the rounds."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.contracts import Working
from appliance.planning.leaf_paths import PathLimits, violation_mm

BENCH = Path(__file__).resolve().parents[2] / "bench"
LIMITS = PathLimits(1.0, 6.0, (-60.0, 60.0), (-60.0, 60.0), 110.0, (4,), False)
LEAST_MU, MOST_MU = 0.5, 6.0


@pytest.fixture(scope="module")
def bench():
    """Its folder is on the path for the import alone."""
    sys.path.append(str(BENCH))
    try:
        yield importlib.import_module("vmat_start")
    finally:
        sys.path.remove(str(BENCH))


def finished() -> Working:
    """One arc of 12 intervals and 4 pairs that stands open by 20 mm."""
    row = (LIMITS.gap_mm, LIMITS.travel_mm, *LIMITS.window_a_mm, *LIMITS.window_b_mm, LIMITS.span_mm, 0.0)
    arrays = {
        "delivery_limits": np.array([(*row, LEAST_MU, MOST_MU)]),
        "delivery_left_mm_0": np.full((13, 4), -10.0),
        "delivery_right_mm_0": np.full((13, 4), 10.0),
        "delivery_mu_0": np.full(12, 2.0),
    }
    return Working("vmat", (), (), arrays)


@given(st.integers(0, 2**20), st.floats(0.1, 40.0), st.floats(0.01, 1.5))
def test_a_proposal_is_legal_whatever_its_errors(bench, seed, leaves_mm, share):
    arrays = bench.proposed(finished(), LIMITS.layers, (leaves_mm, share), seed).arrays
    assert violation_mm(arrays["delivery_left_mm_0"], arrays["delivery_right_mm_0"], LIMITS) <= 1e-9
    assert arrays["delivery_mu_0"].min() >= LEAST_MU
    assert arrays["delivery_mu_0"].max() <= MOST_MU


def test_a_proposal_leaves_what_it_was_made_of_alone(bench):
    before = finished()
    made = bench.proposed(before, LIMITS.layers, (5.0, 0.2), 1).arrays
    assert (before.arrays["delivery_left_mm_0"] == -10.0).all()
    assert np.abs(made["delivery_left_mm_0"] + 10.0).max() > 1.0
    assert made["delivery_mu_0"].sum() == pytest.approx(24.0)


def test_errors_have_the_size_asked_for_and_are_smooth_along_the_arc(bench):
    errors = bench.smooth_errors((180, 40), 5.0, 3)
    assert math.sqrt((errors**2).mean()) == pytest.approx(5.0)
    assert np.abs(np.diff(errors, axis=0)).mean() < 0.5 * np.abs(np.diff(errors, axis=1)).mean()


def test_the_time_to_a_merit_lies_between_rounds_by_its_logarithm(bench):
    rounds = [bench.Round(4.0, 10.0, 0.0), bench.Round(8.0, 2.0, 0.0)]
    assert bench.reached_s(rounds, math.sqrt(20.0)) == pytest.approx(6.0)
    assert bench.reached_s(rounds, 10.0) == 4.0
    assert math.isnan(bench.reached_s(rounds, 1.0))
