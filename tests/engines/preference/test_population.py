"""Empirical Bayes over persons: what was drawn is found again, and strength is borrowed as it should be."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.preference import Evidence, Gaussian, Hyperprior, fit_population, posterior

SIZE = 6
HYPERPRIOR = Hyperprior(np.full(SIZE, 2.0), np.full(SIZE, 0.5), 3.0)


def draw(random: np.random.Generator, theta: np.ndarray, count: int) -> Evidence:
    rows = random.normal(size=(count, SIZE))
    rows[:, 0] = 1.0
    yes = random.random(count) < 1.0 / (1.0 + np.exp(-rows @ theta))
    left = np.zeros(SIZE)
    return Evidence.of(SIZE, [(np.stack((r, left) if y else (left, r)), 1.0) for r, y in zip(rows, yes, strict=True)])


def test_known_weights_and_spreads_are_recovered() -> None:
    random = np.random.default_rng(11)
    mean, spread = np.array([0.5, 1.5, -1.0, 0.0, 0.8, -0.4]), np.array([0.2, 0.2, 0.2, 0.9, 0.9, 0.9])
    thetas = mean + random.normal(size=(40, SIZE)) * spread
    found = fit_population([draw(random, theta, 150) for theta in thetas], HYPERPRIOR)
    assert found.settled
    assert np.abs(found.mean - mean).max() < 0.3
    assert found.spread[:3].max() < 0.5 < found.spread[3:].min()
    away = (found.mean - mean) / np.sqrt(np.diag(found.mean_covariance))
    assert np.abs(away).max() < 3.5
    inside = [
        abs(person.mean[k] - theta[k]) < 1.645 * np.sqrt(person.covariance[k, k])
        for person, theta in zip(found.persons, thetas, strict=True)
        for k in range(SIZE)
    ]
    assert 0.83 < np.mean(inside) < 0.97


def test_who_decided_nothing_has_the_clinics_weights() -> None:
    random = np.random.default_rng(2)
    theta = np.array([0.0, 1.0, -1.0, 0.5, 0.0, 0.0])
    evidences = [draw(random, theta, 120), draw(random, theta, 120), Evidence.of(SIZE, [])]
    found = fit_population(evidences, HYPERPRIOR)
    assert np.allclose(found.persons[2].mean, found.mean, atol=1e-2)
    assert np.allclose(found.persons[2].covariance, found.newcomer.covariance, atol=1e-2)


def test_a_person_with_many_decisions_goes_by_them() -> None:
    random = np.random.default_rng(4)
    odd = np.array([0.0, -2.0, 0.0, 0.0, 0.0, 0.0])
    others = [draw(random, -odd, 150) for _ in range(5)]
    found = fit_population([*others, draw(random, odd, 600)], HYPERPRIOR)
    assert found.mean[1] > 0.5
    assert found.persons[5].mean[1] < -1.0


def test_features_that_nobody_met_keep_the_prior() -> None:
    random = np.random.default_rng(8)
    rows = random.normal(size=(200, SIZE))
    rows[:, 5] = 0.0
    left = np.zeros(SIZE)
    found = fit_population([Evidence.of(SIZE, [(np.stack((row, left)), 1.0) for row in rows])], HYPERPRIOR)
    assert found.mean[5] == pytest.approx(0.0, abs=1e-9)
    assert found.mean_covariance[5, 5] == pytest.approx(4.0, rel=1e-3)
    assert found.spread[5] == pytest.approx(0.5, rel=1e-2)


def test_one_by_one_is_nearly_all_at_once() -> None:
    random = np.random.default_rng(6)
    theta = np.array([0.3, 1.0, -0.8, 0.4, 0.0, -0.2])
    evidence = draw(random, theta, 200)
    prior = Gaussian.independent(np.zeros(SIZE), np.ones(SIZE))
    whole, step = posterior(prior, evidence), prior
    left = np.zeros(SIZE)
    for row in evidence.pair_rows:
        step = posterior(step, Evidence.of(SIZE, [(np.stack((row, left)), 1.0)]))
    deviation = np.sqrt(np.diag(whole.covariance))
    assert np.abs((step.mean - whole.mean) / deviation).max() < 0.35
    assert np.allclose(np.sqrt(np.diag(step.covariance)), deviation, rtol=0.1)


def test_no_person_or_another_size_is_refused() -> None:
    with pytest.raises(EngineError, match="one person at least"):
        fit_population([], HYPERPRIOR)
    with pytest.raises(EngineError, match="6 features"):
        fit_population([Evidence.of(3, [])], HYPERPRIOR)
