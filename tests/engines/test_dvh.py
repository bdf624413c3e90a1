"""Dose-volume metrics: hand-derived cases, NumPy's percentiles as peer, and laws that hold for any structure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.dvh import (
    DoseVolume,
    cumulative_dvh,
    dose_at_percent,
    dose_at_volume,
    dose_metric,
    doses_at_percents,
    mean_dose,
    volume_at_dose,
)
from engines.errors import EngineError

Array = NDArray[np.float32]

DOSE = np.float32([10.0, 20.0, 30.0, 40.0])
EQUAL = np.ones(4, np.float32)

samples = st.lists(
    st.tuples(st.floats(0, 90, width=32), st.floats(0.015625, 1, width=32)), min_size=1, max_size=60
).map(lambda pairs: tuple(np.float32(column) for column in zip(*pairs, strict=True)))
percents = st.floats(0, 100)


@pytest.mark.parametrize(
    ("percent", "expected_gy"),
    [(0, 40), (12.5, 40), (25, 35), (37.5, 30), (50, 25), (62.5, 20), (87.5, 10), (95, 10), (100, 10)],
)
def test_four_equal_voxels_by_hand(percent: float, expected_gy: float) -> None:
    """Each voxel fills a quarter; middles lie at 12.5, 37.5, 62.5 and 87.5 % with 40, 30, 20 and 10 Gy."""
    assert dose_at_percent(DOSE, EQUAL, percent) == pytest.approx(expected_gy)


def test_partial_voxels_by_hand() -> None:
    """40 Gy in 0.5 cc and 20 Gy in 1.5 cc: middles at 0.25 and 1.25 cc of 2 cc."""
    dose, cc = np.float32([20, 40]), np.float32([1.5, 0.5])
    assert dose_at_volume(dose, cc, 0.25) == pytest.approx(40)
    assert dose_at_volume(dose, cc, 0.75) == pytest.approx(30)
    assert dose_at_percent(dose, cc, 37.5) == pytest.approx(30)
    assert dose_at_volume(dose, cc, 1.5) == pytest.approx(20)
    assert mean_dose(dose, cc) == pytest.approx((40 * 0.5 + 20 * 1.5) / 2)
    assert volume_at_dose(dose, cc, 40) == pytest.approx(0.5)
    assert volume_at_dose(dose, cc, 40.01) == 0
    assert volume_at_dose(dose, cc, 0) == pytest.approx(2)


def test_a_plateau_keeps_its_dose() -> None:
    """Half at 60 Gy, half at 50 Gy in a thousand voxels each: no interpolation far from the step."""
    dose = np.repeat(np.float32([60, 50]), 1000)
    weight = np.ones(2000, np.float32)
    assert dose_at_percent(dose, weight, 49.9) == 60
    assert dose_at_percent(dose, weight, 50) == pytest.approx(55)
    assert dose_at_percent(dose, weight, 50.1) == 50


def test_structure_smaller_than_the_volume_reports_its_maximum() -> None:
    tiny_cc = np.float32([0.02, 0.03, 0.01, 0.03])
    assert dose_at_volume(DOSE, tiny_cc, 0.1) == 40
    assert DoseVolume.of(DOSE, tiny_cc).dose_at_volume(0.1) == 40


def test_zero_weights_do_not_count() -> None:
    weight = np.float32([1, 1, 1, 0])
    assert DoseVolume.of(DOSE, weight).max_gy == 30
    assert mean_dose(DOSE, weight) == pytest.approx(20)


@pytest.mark.parametrize("percent", [1, 2, 5, 30, 50, 95, 98, 99])
def test_equal_weights_are_numpys_hazen_percentile(percent: float) -> None:
    rng = np.random.default_rng(119)
    dose = rng.normal(50, 4, 2500).clip(0).astype(np.float32)
    ours = dose_at_percent(dose, np.full(2500, 0.3, np.float32), percent)
    assert ours == pytest.approx(np.percentile(dose.astype(np.float64), 100 - percent, method="hazen"), abs=1e-4)
    ordered = np.sort(dose)
    step = np.searchsorted(ordered, np.percentile(dose, 100 - percent))
    assert ordered[max(step - 2, 0)] <= ours <= ordered[min(step + 1, 2499)]


def test_weights_are_repeated_voxels_far_from_edges() -> None:
    """A voxel of weight 3 is three voxels of weight 1, up to half a voxel at its ends."""
    rng = np.random.default_rng(3)
    dose, weight = rng.uniform(0, 70, 4000).astype(np.float32), rng.integers(1, 4, 4000).astype(np.float32)
    repeated = np.repeat(dose, weight.astype(int))
    for percent in (2, 50, 95):
        single = dose_at_percent(repeated, np.ones_like(repeated), percent)
        assert dose_at_percent(dose, weight, percent) == pytest.approx(single, abs=0.05)


def test_partitioned_and_sorted_agree_on_many_voxels() -> None:
    rng = np.random.default_rng(5)
    dose = (rng.beta(2, 3, 300_000) * 75).astype(np.float32)
    weight = rng.uniform(0.001, 0.02, 300_000).astype(np.float32)
    whole = DoseVolume.of(dose, weight)
    for volume_cc in (0.0, 0.03, 0.1, 2.0, 500.0, whole.total, whole.total * 2):
        assert dose_at_volume(dose, weight, volume_cc) == pytest.approx(whole.dose_at_volume(volume_cc), abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "argument", "unit", "expected"),
    [
        ("D%", 50, "Gy", 25),
        ("Dcc", 1.0, "Gy", 35),
        ("VGy", 20, "%", 75),
        ("VGy", 20, "cc", 3),
        ("Mean", 0, "Gy", 25),
        ("Max", 0, "Gy", 40),
        ("Min", 0, "Gy", 10),
    ],
)
def test_metric_by_name(kind: str, argument: float, unit: str, expected: float) -> None:
    assert dose_metric(kind, argument, DoseVolume.of(DOSE, EQUAL), unit=unit) == pytest.approx(expected)


def test_metric_in_the_wrong_unit_is_refused() -> None:
    with pytest.raises(EngineError, match="no dose-volume metric of kind 'D%' in 'cc'"):
        dose_metric("D%", 50, DoseVolume.of(DOSE, EQUAL), unit="cc")


@pytest.mark.parametrize(
    ("dose", "weight", "reason"),
    [
        ([], [], "no voxel"),
        ([1.0], [0.0], "no voxel"),
        ([np.nan], [1.0], "finite"),
        ([np.inf], [1.0], "finite"),
        ([1.0], [np.nan], "finite"),
        ([-0.1], [1.0], "negative"),
        ([1.0], [-1.0], "negative"),
        ([1.0, 2.0], [1.0], "length"),
    ],
)
def test_arrays_without_meaning_are_refused(dose: list[float], weight: list[float], reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        dose_at_percent(np.float32(dose), np.float32(weight), 50)


@pytest.mark.parametrize("percent", [-1, 100.1, np.nan])
def test_percent_out_of_range_is_refused(percent: float) -> None:
    with pytest.raises(EngineError, match="between 0 and 100"):
        dose_at_percent(DOSE, EQUAL, percent)


def test_dvh_edges_count_at_least() -> None:
    edge_gy, percent = cumulative_dvh(np.float32([0.0, 0.1, 0.25, 0.3]), EQUAL, bin_gy=0.1)
    assert edge_gy == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert percent == pytest.approx([100, 75, 50, 25, 0])


@given(samples)
def test_dvh_curve_is_the_volume_at_each_edge(sample: tuple[Array, Array]) -> None:
    dose, weight = sample
    edge_gy, percent = cumulative_dvh(dose, weight)
    total = volume_at_dose(dose, weight, 0)
    expected = [100 * volume_at_dose(dose, weight, edge) / total for edge in edge_gy]
    assert percent == pytest.approx(expected, abs=1e-4)
    assert percent[0] == 100
    assert percent[-1] == 0


@given(samples, percents, percents)
def test_dose_falls_with_volume_and_stays_in_bounds(sample: tuple[Array, Array], one: float, two: float) -> None:
    dose, weight = sample
    low, high = sorted((one, two))
    volume = DoseVolume.of(dose, weight)
    assert dose.min() <= volume.dose_at_percent(high) <= volume.dose_at_percent(low) <= dose.max()
    assert dose.min() - 1e-4 <= volume.mean_gy <= dose.max() + 1e-4


@given(samples, percents, st.randoms(use_true_random=False))
def test_order_of_the_voxels_never_matters(sample: tuple[Array, Array], percent: float, random: object) -> None:
    dose, weight = sample
    order = np.arange(dose.size)
    random.shuffle(order)  # type: ignore[attr-defined]
    assert dose_at_percent(dose[order], weight[order], percent) == dose_at_percent(dose, weight, percent)


@given(samples, percents)
def test_dose_scales_and_the_unit_of_weight_does_not_matter(sample: tuple[Array, Array], percent: float) -> None:
    dose, weight = sample
    base = dose_at_percent(dose, weight, percent)
    assert dose_at_percent(dose * np.float32(4), weight, percent) == pytest.approx(4 * base, rel=1e-6, abs=1e-9)
    assert dose_at_percent(dose, weight * np.float32(0.25), percent) == pytest.approx(base, rel=1e-6, abs=1e-9)


@given(samples, st.floats(0, 100))
def test_volume_at_the_dose_of_a_volume_is_within_one_voxel(sample: tuple[Array, Array], percent: float) -> None:
    dose, weight = sample
    volume = DoseVolume.of(dose, weight)
    at_least = volume.volume_at_dose(volume.dose_at_percent(percent))
    assert at_least >= percent / 100 * volume.total - float(weight.max()) - 1e-6
    assert volume.volume_at_dose(float(dose.max())) > 0


def by_sorting(dose: Array, weight: Array, volume: float) -> float:
    """The convention word for word: all voxels sorted from hot to cold, larger weights first, D between the middles."""
    order = np.lexsort((-weight, -dose))
    dose, weight = dose[order].astype(np.float64), weight[order].astype(np.float64)
    return float(np.interp(volume, np.cumsum(weight) - weight / 2, dose))


@given(samples, percents)
def test_bins_give_what_sorting_gives(sample: tuple[Array, Array], percent: float) -> None:
    dose, weight = sample
    total = float(weight.sum(dtype=np.float64))
    expected = by_sorting(dose, weight, percent / 100 * total)
    assert dose_at_percent(dose, weight, percent) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", ["spread", "plateau", "hot spot", "nearly nothing", "one dose"])
def test_bins_give_what_sorting_gives_on_many_voxels(shape: str) -> None:
    rng = np.random.default_rng(11)
    dose = {
        "spread": rng.beta(2, 3, 60_000) * 75,
        "plateau": np.where(rng.random(60_000) < 0.7, 60.0, rng.normal(55, 3, 60_000)),
        "hot spot": np.append(rng.normal(50, 0.01, 59_999), 110.0),
        "nearly nothing": rng.random(60_000) * 1e-33,
        "one dose": np.full(60_000, 31.4),
    }[shape].astype(np.float32)
    weight = np.where(rng.random(60_000) < 0.8, 0.027, rng.random(60_000) * 0.027 + 1e-6).astype(np.float32)
    volume = DoseVolume.of(dose, weight)
    for percent in (0, 0.01, 2, 5, 33.3, 50, 95, 98, 99.99, 100):
        expected = by_sorting(dose, weight, percent / 100 * volume.total)
        assert volume.dose_at_percent(percent) == pytest.approx(expected, rel=1e-7), percent
    for level in np.float32([0, 1, 49.99, 50, 55, 60, 60.001, 109, 110, 111]):
        expected = float(weight[dose >= level].sum(dtype=np.float64))
        assert volume.volume_at_dose(float(level)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_cold_volume_by_hand() -> None:
    """1 cc each of 10, 20, 30 and 40 Gy: 2 cc have less than 30 Gy, none less than 10."""
    volume = DoseVolume.of(DOSE, EQUAL)
    assert dose_metric("CVGy", 30, volume, unit="cc") == pytest.approx(2)
    assert dose_metric("CVGy", 30, volume, unit="%") == pytest.approx(50)
    assert (volume.volume_below_dose(10), volume.volume_below_dose(40.1)) == (0, pytest.approx(4))


@given(samples, st.floats(0, 100))
def test_cold_and_hot_volume_are_the_whole(sample: tuple[Array, Array], level_gy: float) -> None:
    volume = DoseVolume.of(*sample)
    assert volume.volume_at_dose(level_gy) + volume.volume_below_dose(level_gy) == pytest.approx(volume.total)


@given(samples, st.lists(percents, min_size=1, max_size=6))
def test_many_volumes_at_once_are_each_alone(sample: tuple[Array, Array], wanted: list[float]) -> None:
    volume = DoseVolume.of(*sample)
    each = [volume.dose_at_percent(percent) for percent in wanted]
    np.testing.assert_allclose(doses_at_percents(*sample, np.asarray(wanted)), each, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("percent", [-1.0, 100.5, float("nan")])
def test_many_volumes_out_of_range_are_refused(percent: float) -> None:
    with pytest.raises(EngineError, match="between 0 and 100"):
        doses_at_percents(np.ones(2), np.ones(2), np.asarray([50.0, percent]))
