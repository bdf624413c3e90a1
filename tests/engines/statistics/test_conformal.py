"""Conformal quantiles: values worked out by hand, and coverage of new patients measured by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.errors import EngineError
from engines.statistics.conformal import (
    binned_quantiles,
    conformal_quantile,
    covered,
    cross_correction,
    equal_bins,
    fewest_patients,
    folds,
    mixture_quantile,
)


def test_one_score_a_patient_is_split_conformal() -> None:
    """Nine patients, 80 %: of ten places the eighth, so the eighth smallest score."""
    scores = [np.array([float(n)]) for n in (9, 1, 8, 2, 7, 3, 6, 4, 5)]
    assert conformal_quantile(scores, 0.8) == 8.0


def test_a_level_needs_so_many_patients_that_one_more_could_be_worst() -> None:
    assert fewest_patients(0.8) == 4
    assert fewest_patients(0.95) == 19
    scores = [np.array([1.0])] * 18
    with pytest.raises(EngineError, match="19 are needed"):
        conformal_quantile(scores, 0.95)


def test_patients_weigh_the_same_however_many_voxels_they_have() -> None:
    """Four patients, one of them with ten thousand voxels and large errors: 80 % needs all four whole, 40 % two."""
    many = np.full(10_000, 9.0)
    scores = [np.array([1.0]), np.array([2.0]), np.array([3.0]), many]
    assert conformal_quantile(scores, 0.4) == 2.0
    assert conformal_quantile(scores, 0.6) == 3.0
    assert conformal_quantile(scores, 0.8) == 9.0


def test_patients_without_a_score_do_not_count() -> None:
    scores = [np.array([float(n)]) for n in range(1, 5)]
    assert conformal_quantile([*scores, np.zeros(0)], 0.8) == conformal_quantile(scores, 0.8)


@pytest.mark.parametrize(
    ("scores", "level"), [([np.array([np.nan])] * 9, 0.8), ([np.array([-1.0])] * 9, 0.8), ([np.array([1.0])] * 9, 1.0)]
)
def test_what_is_no_score_or_no_level_is_refused(scores: list[np.ndarray], level: float) -> None:
    with pytest.raises(EngineError):
        conformal_quantile(scores, level)


def test_a_new_patient_is_covered_as_promised_whatever_its_own_error() -> None:
    """Each patient has its own size of error. Mean coverage of the next patient is at least the level, and with
    continuous scores at most 1 / (K + 1) more; counting voxels would have promised the same and held it no better."""
    random, level, patients = np.random.default_rng(3), 0.8, 20
    shares = []
    for _ in range(600):
        own = random.lognormal(0.0, 0.8, patients + 1)
        errors = [np.abs(random.normal(0.0, size, 50)) for size in own]
        limit = conformal_quantile(errors[:-1], level)
        shares.append(float((errors[-1] <= limit).mean()))
    error = 3 * np.std(shares) / math.sqrt(len(shares))
    assert np.mean(shares) >= level - error
    assert np.mean(shares) <= level + 1 / (patients + 1) + error


def test_bins_give_a_wrong_scale_back_its_right_width() -> None:
    """Errors are normal of standard deviation 1 and 3 where the scale says 0.5 and 2: the factors are the 0.8 quantile
    of |normal|, 1.2816, times what the scale lacks, 2 and 1.5."""
    random = np.random.default_rng(4)
    scales = [np.repeat([0.5, 2.0], 3000) for _ in range(200)]
    errors = [random.normal(0.0, np.repeat([1.0, 3.0], 3000)) for _ in scales]
    centres, factors = binned_quantiles(errors, scales, 2, (0.8,))
    assert centres == pytest.approx(np.log([0.5, 2.0]))
    assert factors[0] == pytest.approx(np.array([2.0, 1.5]) * 1.2816, rel=0.01)


def test_bins_too_few_patients_reach_are_joined() -> None:
    scales = [np.array([1.0, 1.1]) for _ in range(30)] + [np.array([50.0])]
    errors = [np.ones(len(s)) for s in scales]
    centres, factors = binned_quantiles(errors, scales, 3, (0.95,))
    assert factors.shape == (1, len(centres))
    assert bool(np.isfinite(factors).all())


def test_edges_weigh_patients_alike() -> None:
    assert equal_bins([np.full(1000, 1.0), np.full(2, 3.0)], 2) == pytest.approx([1.0])
    assert equal_bins([np.arange(100.0)], 4) == pytest.approx([24.0, 49.0, 74.0])


def test_every_patient_is_held_out_once() -> None:
    parts = list(folds(11, 3))
    assert sorted(n for _, held in parts for n in held) == list(range(11))
    assert all(not set(fitted) & set(held) for fitted, held in parts)
    with pytest.raises(EngineError):
        list(folds(2, 3))


def test_covered_counts_each_patient_alone() -> None:
    shares = covered([np.array([1.0, -3.0]), np.array([2.0])], [np.array([1.0, 2.0]), np.array([2.0])])
    assert shares == pytest.approx([0.5, 1.0])


def test_a_mixture_holds_its_share_in_the_mean_over_patients() -> None:
    """Two patients: at 0.75 all scores of the first, and half of the second's."""
    scores = [np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0, 6.0])]
    assert mixture_quantile(scores, 0.75) == 4.0
    assert mixture_quantile(scores, 1.0) == 6.0
    with pytest.raises(EngineError):
        mixture_quantile([np.zeros(0)], 0.8)


def test_a_correction_is_what_half_widths_lack() -> None:
    """Half-widths that are half of what they should be are doubled; right ones are left alone."""
    random = np.random.default_rng(6)
    errors = [random.normal(0.0, 1.0, 4000) for _ in range(40)]
    right = [np.full(4000, 1.2816) for _ in errors]
    assert cross_correction(errors, right, 0.8) == pytest.approx(1.0, rel=0.01)
    assert cross_correction(errors, [half / 2 for half in right], 0.8) == pytest.approx(2.0, rel=0.01)
