"""Calibration, discrimination and drift: values worked out by hand, and rates measured by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.errors import EngineError
from engines.statistics import (
    Cusum,
    area_under_curve,
    bins_of_equal_count,
    calibration_in_the_large,
    expected_calibration_error,
    fit_temperature,
    proper_scores,
    threshold_for_rate,
)


def outcomes(random: np.random.Generator, probability: np.ndarray) -> np.ndarray:
    return random.random(len(probability)) < probability


def sigma(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def test_scores_by_hand() -> None:
    found = proper_scores(np.array([0.8, 0.4, 0.5]), np.array([True, True, False]))
    assert found.brier == pytest.approx((0.04 + 0.36 + 0.25) / 3)
    assert found.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.5)) / 3)
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.base_rate == pytest.approx(2 / 3)


def test_bins_and_calibration_error_by_hand() -> None:
    probability = np.array([0.1, 0.1, 0.9, 0.9])
    happened = np.array([False, True, True, True])
    low, high = bins_of_equal_count(probability, happened, 2)
    assert (low.predicted, low.observed, low.count) == pytest.approx((0.1, 0.5, 2))
    assert (high.predicted, high.observed, high.count) == pytest.approx((0.9, 1.0, 2))
    assert expected_calibration_error(probability, happened, 2) == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)


@pytest.mark.parametrize(
    ("probability", "happened"),
    [([0.5, 1.2], [True, False]), ([0.5, math.nan], [True, False]), ([], []), ([0.5], [True, False])],
)
def test_impossible_probabilities_are_refused(probability: list[float], happened: list[bool]) -> None:
    with pytest.raises(EngineError, match="probabilit"):
        proper_scores(np.array(probability), np.array(happened, np.bool_))


@pytest.mark.parametrize("true", [0.6, 1.0, 1.8])
def test_the_temperature_that_was_put_in_is_found(true: float) -> None:
    random = np.random.default_rng(3)
    logit = random.normal(0.0, 2.0, 6000)
    assert fit_temperature(logit, outcomes(random, sigma(logit / true))) == pytest.approx(true, rel=0.08)


def test_a_few_outcomes_hardly_move_the_temperature() -> None:
    assert 0.7 < fit_temperature(np.array([0.5, -0.5]), np.array([True, False])) < 1.1


def test_temperature_repairs_overconfidence() -> None:
    random = np.random.default_rng(9)
    logit = random.normal(0.0, 1.5, 8000)
    happened = outcomes(random, sigma(logit))
    temperature = fit_temperature(2.5 * logit[:4000], happened[:4000])
    before = expected_calibration_error(sigma(2.5 * logit[4000:]), happened[4000:])
    after = expected_calibration_error(sigma(2.5 * logit[4000:] / temperature), happened[4000:])
    assert before > 0.08
    assert after < 0.03


def test_area_under_curve_by_hand_and_its_mirror() -> None:
    score, happened = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    found = area_under_curve(score, happened)
    assert found is not None
    assert found.value == pytest.approx(0.75)
    mirrored = area_under_curve(-score, ~happened)
    assert mirrored is not None
    assert mirrored.value == pytest.approx(0.75)


def test_area_counts_ties_half() -> None:
    found = area_under_curve(np.ones(10), np.arange(10) % 2 == 0)
    assert found is not None
    assert found.value == pytest.approx(0.5)


def test_area_needs_two_of_each_kind() -> None:
    assert area_under_curve(np.array([0.1, 0.2, 0.3]), np.array([True, False, False])) is None


def test_delongs_interval_holds_the_true_area_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    true, inside = 0.7602499, 0  # Phi(1 / sqrt(2)): two normal scores one deviation apart
    for _ in range(400):
        happened = np.arange(80) % 2 == 0
        found = area_under_curve(random.normal(size=80) + happened, happened, coverage=0.95)
        inside += found is not None and found.low <= true <= found.high
    assert 0.91 <= inside / 400 <= 0.98


def test_calibration_in_the_large_holds_zero_as_often_as_it_says() -> None:
    random, inside = np.random.default_rng(2), 0
    for _ in range(500):
        probability = sigma(random.normal(0.5, 1.5, 60))
        found = calibration_in_the_large(probability, outcomes(random, probability), coverage=0.9)
        inside += found.low <= 0.0 <= found.high
    assert 0.87 <= inside / 500 <= 0.96


def sequences(random: np.random.Generator, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and outcomes that follow them, of 200 decisions each."""
    logit = random.normal(0.3, 1.8, (runs, 200))
    return sigma(logit), random.random((runs, 200)) < sigma(logit)


def test_the_alarm_comes_by_chance_as_often_as_stated() -> None:
    random = np.random.default_rng(7)
    threshold = threshold_for_rate(*sequences(random, 3000), 0.05)
    alarms = [Cusum.of(p, y, threshold).first_alarm is not None for p, y in zip(*sequences(random, 1500), strict=True)]
    assert 0.033 <= np.mean(alarms) <= 0.067


def test_the_alarm_finds_a_physician_who_turned_round() -> None:
    random = np.random.default_rng(8)
    threshold = threshold_for_rate(*sequences(random, 2000), 0.05)
    logit = random.normal(0.3, 1.8, (200, 200))
    turned = random.random(logit.shape) < sigma(-0.5 * logit)
    alarms = [Cusum.of(sigma(p), y, threshold).first_alarm for p, y in zip(logit, turned, strict=True)]
    assert all(alarm is not None for alarm in alarms)
    assert np.median([alarm for alarm in alarms if alarm is not None]) < 25


def test_a_certain_prediction_that_fails_is_finite() -> None:
    found = Cusum.of(np.array([1.0, 1.0]), np.array([False, True]), 5.0)
    assert math.isfinite(found.level[-1])
    assert found.first_alarm is None
    assert found.level[0] < 5.0


def test_no_decision_raises_no_alarm() -> None:
    assert Cusum.of(np.array([]), np.array([], np.bool_), 1.0) == Cusum((), None, 1.0)


@pytest.mark.parametrize(("shape", "rate"), [((0, 5), 0.1), ((3, 5), 0.0), ((3, 5), 1.0), ((5,), 0.1)])
def test_a_threshold_without_sense_is_refused(shape: tuple[int, ...], rate: float) -> None:
    with pytest.raises(EngineError, match="sequences"):
        threshold_for_rate(np.full(shape, 0.5), np.zeros(shape, np.bool_), rate)
