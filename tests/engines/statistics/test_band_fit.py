"""Factors found again from patients that were drawn with known ones, and coverage on patients left out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from engines.dvh_band import BandFactors, Spread
from engines.errors import EngineError
from engines.statistics.band_fit import Known, covered, cross_coverage, fit_factors

VOLUMES = np.array([2.0, 5, 10, 20, 30, 50, 70, 80, 90, 95, 98])


def drawn(count: int, shared: float, local: float, *, shift: float = 0.0, seed: int = 3) -> list[Known]:
    """Patients with one organ each, of different dose; the truth is drawn from the model."""
    rng = np.random.default_rng(seed)
    found = []
    for patient in range(count):
        depth = np.linspace(0, 1, 600)
        dose = 6 + (30 + 20 * rng.random()) * (1 - depth) ** 2
        half = 1 + 3 * (1 - depth)
        true = dose + half * (shift + shared * rng.standard_normal() + local * rng.standard_normal(dose.size))
        reference = np.interp(VOLUMES, 100 * (np.arange(600) + 0.5) / 600, np.sort(np.maximum(true, 0))[::-1])
        found.append(Known.of(Spread.of(dose, half, np.ones(600)), VOLUMES, reference, patient))
    return found


def test_known_factors_are_found_again() -> None:
    factors = fit_factors(drawn(200, 0.5, 0.5))
    assert factors.local == 0.5
    assert factors.middle == pytest.approx(0.0, abs=0.1)
    assert factors.high == pytest.approx(0.5 * ndtri(0.9), abs=0.12)
    assert factors.low == pytest.approx(-0.5 * ndtri(0.9), abs=0.12)


def test_a_network_that_is_always_low_is_set_right() -> None:
    known = drawn(80, 0.3, 0.25, shift=0.8)
    factors = fit_factors(known)
    assert factors.middle == pytest.approx(0.8, abs=0.12)
    assert abs(covered(known, factors).bias_gy) < 0.2


def test_patients_left_out_are_covered_as_often_as_said() -> None:
    found = cross_coverage(drawn(100, 0.6, 0.25))
    assert found.share == pytest.approx(0.8, abs=0.07)
    assert found.below + found.share + found.above == pytest.approx(1.0)
    assert (found.patients, found.structures) == (100, 100)


def test_a_point_without_dose_whatever_the_shift_asks_for_none() -> None:
    spread = Spread.of(np.zeros(20), np.zeros(20), np.ones(20))
    known = Known.of(spread, VOLUMES, np.zeros(VOLUMES.size), 0)
    np.testing.assert_array_equal(known.shifts(0), 0.0)


def test_few_patients_give_a_wider_band_and_fewer_none() -> None:
    many, few = fit_factors(drawn(60, 0.5, 0.0)), fit_factors(drawn(60, 0.5, 0.0)[:8])
    assert few.high - few.low > 0.8 * (many.high - many.low)
    with pytest.raises(EngineError, match="patients"):
        fit_factors(drawn(4, 0.5, 0.0))
    with pytest.raises(EngineError, match="level"):
        fit_factors(drawn(6, 0.5, 0.0), level=1.0)
    assert BandFactors(-1, 0, 1, 0).checked().high == 1
