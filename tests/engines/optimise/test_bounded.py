"""The minimiser judged by optimality, against a peer, and by what it says of itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, minimize

from engines.errors import EngineError
from engines.optimise import Outcome, minimise


def quadratic(hessian, linear):
    def function(x):
        return float(0.5 * x @ hessian @ x - linear @ x), hessian @ x - linear

    return function


def rosenbrock(x):
    a, b = x
    return (
        float((1 - a) ** 2 + 100 * (b - a * a) ** 2),
        np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)]),
    )


def assert_monotone(outcome: Outcome) -> None:
    assert all(b <= a for a, b in pairwise(outcome.values))
    assert outcome.values[-1] == outcome.value


def test_a_bound_that_holds_by_hand():
    # min (x - 3)^2 + (y + 1)^2 with x, y >= 0: (3, 0).
    outcome = minimise(quadratic(2 * np.eye(2), np.array([6.0, -2.0])), np.array([1.0, 1.0]), tolerance=1e-12)
    np.testing.assert_allclose(outcome.x, [3, 0], atol=1e-6)
    assert outcome.converged
    assert outcome.x[1] == 0.0  # on the bound, not near it


def test_a_coupled_corner_by_hand():
    # min x^2 + xy + y^2 - 3x with y >= 0, x <= 1: at (1, 0) the gradient is (-1, 1), both held by their bounds.
    function = quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 0.0]))
    outcome = minimise(function, np.array([0.2, 0.9]), upper=np.array([1.0, np.inf]), tolerance=1e-12)
    np.testing.assert_allclose(outcome.x, [1, 0], atol=1e-9)
    assert outcome.reason == "no descent left within the bounds"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 25))
def test_convex_quadratics_end_where_no_bound_and_no_slope_disagree(seed, size):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    hessian, linear = root @ root.T + 0.5 * np.eye(size), 3 * rng.normal(size=size)
    function = quadratic(hessian, linear)
    outcome = minimise(function, np.ones(size), upper=2.0, tolerance=1e-14, budget=3000)
    x, slope = outcome.x, function(outcome.x)[1]
    scale = np.abs(linear).max()
    assert np.all((x >= 0) & (x <= 2))
    assert_monotone(outcome)
    # Karush-Kuhn-Tucker: free variables have no slope, those at a bound are pushed against it.
    assert np.abs(slope[(x > 0) & (x < 2)]).max(initial=0) < 1e-4 * scale
    assert slope[x == 0].min(initial=0) > -1e-4 * scale
    assert slope[x == 2].max(initial=0) < 1e-4 * scale
    peer = minimize(function, np.ones(size), jac=True, method="L-BFGS-B", bounds=Bounds(0, 2), tol=1e-14)
    assert outcome.value <= peer.fun + 1e-6 * max(1.0, abs(peer.fun))


def test_rosenbrocks_valley():
    outcome = minimise(rosenbrock, np.array([-1.2, 1.0]), lower=-5.0, tolerance=1e-10, budget=400)
    np.testing.assert_allclose(outcome.x, [1, 1], atol=1e-4)
    assert_monotone(outcome)
    assert outcome.evaluations < 120


def test_rosenbrock_behind_a_bound():
    # With x <= 0.5 the minimum is (0.5, 0.25): the valley y = x^2 holds and the rest pulls to larger x.
    outcome = minimise(rosenbrock, np.array([-1.2, 1.0]), lower=-5.0, upper=np.array([0.5, 5.0]), tolerance=1e-12)
    np.testing.assert_allclose(outcome.x, [0.5, 0.25], atol=1e-4)


def test_warm_start_continues_where_it_stopped():
    rng = np.random.default_rng(4)
    root = rng.normal(size=(30, 30))
    function = quadratic(root @ root.T + 0.1 * np.eye(30), rng.normal(size=30))
    first = minimise(function, np.ones(30), tolerance=1e-12, budget=15)
    assert not first.converged
    second = minimise(function, first.x, tolerance=1e-12, budget=2000)
    assert second.values[0] == first.value
    assert second.value < first.value
    assert_monotone(second)


@pytest.mark.parametrize("budget", [1, 2, 7, 25])
def test_the_budget_is_kept_and_reported(budget):
    calls = []

    def function(x):
        calls.append(1)
        return rosenbrock(x)

    outcome = minimise(function, np.array([-1.2, 1.0]), lower=-5.0, tolerance=0.0, budget=budget)
    assert len(calls) == outcome.evaluations <= budget
    assert outcome.reason == f"budget of {budget} evaluations used"
    assert not outcome.converged


def test_the_tolerance_is_reported():
    outcome = minimise(rosenbrock, np.array([-1.2, 1.0]), lower=-5.0, tolerance=0.9, budget=400)
    assert outcome.reason == "merit fell by less than 0.9 (relative) over 8 iterations"
    assert outcome.converged


def test_starting_at_the_optimum():
    outcome = minimise(quadratic(np.eye(2), np.array([1.0, -1.0])), np.array([1.0, 0.0]))
    assert outcome.evaluations == 1
    assert outcome.reason == "no descent left within the bounds"


def test_a_start_outside_the_bounds_is_projected():
    seen = []

    def function(x):
        seen.append(x.copy())
        return float(x @ x), 2 * x

    minimise(function, np.array([-5.0, 7.0]), lower=np.array([0.0, 1.0]), upper=np.array([4.0, 5.0]))
    np.testing.assert_array_equal(seen[0], [0.0, 5.0])
    assert all(np.all((x >= [0, 1]) & (x <= [4, 5])) for x in seen)


@pytest.mark.parametrize(("value", "slope"), [(np.nan, 1.0), (np.inf, 1.0), (1.0, np.nan), (1.0, np.inf)], ids=str)
def test_a_start_that_is_not_finite_is_refused(value, slope):
    with pytest.raises(EngineError, match="not finite at the starting point"):
        minimise(lambda x: (value, np.full(2, slope)), np.ones(2))


@pytest.mark.parametrize(
    "bad", [(np.nan, 0.0), (-np.inf, 0.0), (0.0, np.nan)], ids=["value", "minus infinity", "slope"]
)
def test_a_cliff_beyond_which_nothing_is_finite_is_not_stepped_over(bad):
    # x^2 - 10 x below 2; beyond it the function breaks down.
    def function(x):
        if x[0] > 2:
            return bad[0], np.full(1, bad[1] if np.isnan(bad[1]) else 1.0)
        return float(x[0] ** 2 - 10 * x[0]), 2 * x - 10

    outcome = minimise(function, np.array([0.5]), tolerance=1e-9, budget=200)
    assert outcome.x[0] <= 2
    assert np.isfinite(outcome.value)
    assert outcome.x[0] > 1.5


def test_a_wrong_gradient_ends_in_words_and_not_in_a_loop():
    outcome = minimise(lambda x: (float(x @ x), -2 * x), np.array([1.0, 2.0]), lower=-10.0, budget=500)
    assert outcome.reason == "no further decrease along the gradient"
    assert outcome.value == 5.0


def test_every_iteration_is_told():
    told = []
    outcome = minimise(
        rosenbrock, np.array([-1.2, 1.0]), lower=-5.0, tolerance=1e-8, on_iteration=lambda i, v: told.append((i, v))
    )
    assert told == list(enumerate(outcome.values))[1:]
