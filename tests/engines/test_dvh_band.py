"""A correlated field whose histograms are known gives the band that is known, in order and falling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from engines.dvh import DoseVolume
from engines.dvh_band import BIN_GY, BandFactors, Spread, achievable_band, mean_of_curve
from engines.errors import EngineError

VOLUMES = np.array([1.0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99])


def organ(count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An organ beside a target: dose falls from 60 Gy to 4 Gy, and is the less sure the steeper it falls."""
    depth = np.linspace(0, 1, count)
    return 4 + 56 * (1 - depth) ** 2, 1 + 5 * (1 - depth), np.ones(count)


def test_without_noise_the_band_is_the_histograms_of_the_bounds() -> None:
    dose, half, weight = organ()
    band = achievable_band(dose, half, weight, VOLUMES, BandFactors(-1, 0, 1, 0))
    for curve, bound in ((band.low_gy, dose - half), (band.middle_gy, dose), (band.high_gy, dose + half)):
        volume = DoseVolume.of(bound, weight)
        np.testing.assert_allclose(curve, [volume.dose_at_percent(v) for v in VOLUMES], atol=BIN_GY)


def test_a_uniform_dose_has_the_quantiles_of_the_normal_distribution_for_its_histogram() -> None:
    """60 Gy everywhere with noise of 2 Gy: D(v) is the normal quantile, moved by the shared shift."""
    ones = np.ones(500)
    spread = Spread.of(60 * ones, 2 * ones, ones)
    inner = VOLUMES[(VOLUMES >= 10) & (VOLUMES <= 90)]
    found = spread.doses_at(inner, 0.5, 1.0)
    np.testing.assert_allclose(found, 60 + 2 * (0.5 - ndtri(inner / 100)), atol=0.25)
    assert spread.doses_at(np.array([50.0]), 0.5, 1.0)[0] == pytest.approx(61.0, abs=BIN_GY)


def test_the_band_covers_a_correlated_field_as_often_as_it_says() -> None:
    """1200 patients drawn from the model itself: each point of the histogram lies in the 80 % band in 80 % of them.
    The interval of single voxels covers far more, and that of independent voxels hardly anything."""
    rng = np.random.default_rng(5)
    dose, half, weight = organ(2000)
    shared, local = 0.6, 0.5
    z80 = float(ndtri(0.9))
    drawn = []
    for _ in range(1200):
        field = dose + half * (shared * rng.standard_normal() + local * rng.standard_normal(dose.size))
        drawn.append(np.interp(VOLUMES, 100 * (np.arange(dose.size) + 0.5) / dose.size, np.sort(field)[::-1]))
    true = np.maximum(np.asarray(drawn), 0)

    def coverage(factors: BandFactors) -> np.ndarray:
        band = achievable_band(dose, half, weight, VOLUMES, factors)
        return np.mean((true >= band.low_gy - BIN_GY / 2) & (true <= band.high_gy + BIN_GY / 2), axis=0)

    right = coverage(BandFactors(-shared * z80, 0, shared * z80, local))
    assert right.min() > 0.75 and right.max() < 0.86
    voxelwise = float(np.hypot(shared, local)) * z80
    assert coverage(BandFactors(-voxelwise, 0, voxelwise, 0.0))[3:-3].mean() > 0.88
    independent = local * z80 / np.sqrt(dose.size)
    assert coverage(BandFactors(-independent, 0, independent, local)).mean() < 0.15


def test_the_mean_of_a_curve_is_the_mean_of_the_voxels() -> None:
    dose, half, weight = organ()
    fine = np.linspace(0.5, 99.5, 100)
    curve = Spread.of(dose, half, weight).doses_at(fine, 0.0, 0.0)
    assert mean_of_curve(fine, curve) == pytest.approx(dose.mean(), abs=0.1)
    assert mean_of_curve(np.array([50.0]), np.array([7.0])) == 7.0


def test_more_nodes_of_the_noise_change_less_than_a_tenth_of_a_gray(monkeypatch: pytest.MonkeyPatch) -> None:
    dose, half, weight = organ()
    flat = np.full(4000, 60.0), np.full(4000, 1.0), weight
    for structure in ((dose, half, weight), flat):
        spread = Spread.of(*structure)
        few = spread.doses_at(VOLUMES[3:-3], 0.0, 0.5)
        monkeypatch.setattr("engines.dvh_band.NODES", 33)
        many = spread.doses_at(VOLUMES[3:-3], 0.0, 0.5)
        monkeypatch.undo()
        np.testing.assert_allclose(few, many, atol=0.1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 80), st.floats(0, 12), st.floats(0.01, 1)), min_size=1, max_size=60),
    st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    st.floats(0, 1),
)
def test_the_curves_fall_with_volume_and_never_cross(
    voxels: list[tuple[float, float, float]], shifts: list[float], local: float
) -> None:
    dose, half, weight = (np.array(column) for column in zip(*voxels, strict=True))
    low, middle, high = sorted(shifts)
    band = achievable_band(dose, half, weight, VOLUMES, BandFactors(low, middle, high, local))
    for curve in (band.low_gy, band.middle_gy, band.high_gy):
        assert (np.diff(curve) <= 1e-9).all() and curve.min() >= 0
    assert (band.low_gy <= band.middle_gy).all() and (band.middle_gy <= band.high_gy).all()


def test_half_voxels_count_half() -> None:
    dose, half = np.array([10.0, 20, 30]), np.ones(3)
    band = achievable_band(dose, half, np.array([1, 0.5, 0]), np.array([50.0]), BandFactors(0, 0, 0, 0))
    twice = achievable_band(np.array([10.0, 10, 20]), half, np.ones(3), np.array([50.0]), BandFactors(0, 0, 0, 0))
    np.testing.assert_allclose(band.middle_gy, twice.middle_gy)


@pytest.mark.parametrize(
    ("dose", "half", "weight", "volumes", "factors"),
    [
        ([], [], [], [50], (-1, 0, 1, 0)),
        ([1, 2], [1], [1, 1], [50], (-1, 0, 1, 0)),
        ([1], [-1], [1], [50], (-1, 0, 1, 0)),
        ([np.nan], [1], [1], [50], (-1, 0, 1, 0)),
        ([1], [1], [0], [50], (-1, 0, 1, 0)),
        ([1], [1], [1], [50, 40], (-1, 0, 1, 0)),
        ([1], [1], [1], [101], (-1, 0, 1, 0)),
        ([1], [1], [1], [50], (1, 0, -1, 0)),
        ([1], [1], [1], [50], (-1, 0, 99, 0)),
        ([1], [1], [1], [50], (-1, 0, 1, float("nan"))),
    ],
)
def test_what_cannot_be_a_band_is_refused(dose: list, half: list, weight: list, volumes: list, factors: tuple) -> None:
    with pytest.raises(EngineError):
        achievable_band(
            np.asarray(dose, float), np.asarray(half, float), np.asarray(weight, float), np.asarray(volumes, float),
            BandFactors(*factors),
        )  # fmt: skip
