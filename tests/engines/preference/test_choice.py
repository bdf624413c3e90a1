"""The likelihood of choices: hand-made values, derivatives, and the models it holds as special cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from engines.errors import EngineError
from engines.preference import Evidence, Gaussian, likelihood, posterior


def some_evidence(features: int = 4, seed: int = 5) -> Evidence:
    random = np.random.default_rng(seed)
    sizes = (2, 2, 5, 3, 2, 7)
    return Evidence.of(features, [(random.normal(size=(size, features)), 0.5 + random.random()) for size in sizes])


def test_two_options_are_logistic_and_bradley_terry() -> None:
    chosen, other = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    theta = np.array([0.3, -0.7])
    difference = float((chosen - other) @ theta)
    found = likelihood(Evidence.of(2, [(np.stack((chosen, other)), 1.0)]), theta)
    assert found.value == pytest.approx(-math.log(1 + math.exp(-difference)), rel=1e-14)


def test_three_equal_options_are_each_chosen_with_a_third() -> None:
    found = likelihood(Evidence.of(2, [(np.ones((3, 2)), 1.0)]), np.array([4.0, -2.0]))
    assert found.value == pytest.approx(-math.log(3.0))
    assert np.allclose(found.gradient, 0.0)
    assert np.allclose(found.information, 0.0)


def test_a_far_worth_gives_no_infinity() -> None:
    found = likelihood(Evidence.of(1, [(np.array([[1.0], [0.0]]), 1.0)]), np.array([-5000.0]))
    assert found.value == pytest.approx(-5000.0)


@pytest.mark.parametrize("seed", range(5))
def test_derivatives_agree_with_differences(seed: int) -> None:
    evidence = some_evidence(seed=seed)
    theta = np.random.default_rng(seed).normal(size=4)
    found = likelihood(evidence, theta)
    slope = approx_fprime(theta, lambda t: likelihood(evidence, t).value, 1e-7)
    curve = np.array([approx_fprime(theta, lambda t, i=i: likelihood(evidence, t).gradient[i], 1e-7) for i in range(4)])
    assert np.allclose(found.gradient, slope, atol=1e-5)
    assert np.allclose(found.information, -curve, atol=1e-5)


def test_information_is_never_negative() -> None:
    for seed in range(20):
        found = likelihood(some_evidence(seed=seed), np.random.default_rng(seed).normal(size=4, scale=3.0))
        assert np.linalg.eigvalsh(found.information).min() > -1e-10


def test_the_mode_is_that_of_a_general_minimiser() -> None:
    evidence, mean, deviation = some_evidence(), np.array([0.5, 0.0, -0.5, 1.0]), np.full(4, 0.8)
    found = posterior(Gaussian.independent(mean, deviation), evidence)

    def cost(theta: np.ndarray) -> float:
        return 0.5 * float(np.sum(((theta - mean) / deviation) ** 2)) - likelihood(evidence, theta).value

    peer = minimize(cost, mean, method="BFGS", options={"gtol": 1e-9})
    assert np.allclose(found.mean, peer.x, atol=1e-5)


def test_no_choice_leaves_the_prior() -> None:
    prior = Gaussian(np.array([1.0, -1.0]), np.array([[0.5, 0.1], [0.1, 0.3]]))
    after = posterior(prior, Evidence.of(2, [(np.ones((1, 2)), 1.0)]))
    assert np.allclose(after.mean, prior.mean)
    assert np.allclose(after.covariance, prior.covariance)


def test_a_choice_moves_towards_what_was_chosen_and_narrows() -> None:
    prior = Gaussian.independent(np.zeros(2), np.ones(2))
    after = posterior(prior, Evidence.of(2, [(np.array([[1.0, 0.0], [0.0, 0.0]]), 1.0)]))
    assert after.mean[0] > 0.0
    assert after.mean[1] == pytest.approx(0.0, abs=1e-12)
    assert after.covariance[0, 0] < 1.0
    assert after.covariance[1, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("options", [np.ones((2, 3)), np.array([[np.nan, 1.0], [0.0, 0.0]]), np.ones(2)])
def test_impossible_options_are_refused(options: np.ndarray) -> None:
    with pytest.raises(EngineError, match="finite options of 2 features"):
        Evidence.of(2, [(options, 1.0)])


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan])
def test_impossible_weights_are_refused(weight: float) -> None:
    with pytest.raises(EngineError, match="weight"):
        Evidence.of(2, [(np.ones((2, 2)), weight)])


def test_an_impossible_covariance_is_refused() -> None:
    with pytest.raises(EngineError, match="positive definite"):
        posterior(Gaussian(np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]])), some_evidence(2))
