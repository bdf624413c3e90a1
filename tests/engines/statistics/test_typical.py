"""Ranges and distance of facts, by hand and on drawn cases."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.statistics.typical import beyond, distance, fact_quantiles, fit_typical


def correlated(count: int, seed: int = 0) -> np.ndarray:
    """Three standard normal facts; the first two have correlation 0.9."""
    random = np.random.default_rng(seed)
    a, b, c = random.standard_normal((3, count))
    return np.stack([a, 0.9 * a + np.sqrt(1 - 0.81) * b, c], axis=1)


def test_beyond_counts_from_the_outer_quantile_in_units_of_its_side() -> None:
    """Quantiles 0, ..., 10, ..., 30: 50 lies (50 - 30) / (30 - 10) = 1 beyond, -10 lies 1 beyond, 20 inside."""
    quantiles, least = np.array([[0.0, 2.0, 10.0, 25.0, 30.0]]), np.array([0.5])
    off = beyond(quantiles, least, np.array([[50.0], [-10.0], [20.0], [np.nan]]))[:, 0]
    assert off[:2] == pytest.approx([1.0, 1.0])
    assert off[2] <= 0
    assert np.isnan(off[3])


def test_a_fact_that_never_varied_is_measured_by_its_least_difference() -> None:
    assert beyond(np.zeros((1, 5)), np.array([0.02]), np.array([0.06]))[0] == pytest.approx(3.0)


def test_new_cases_of_the_same_kind_have_deviates_of_a_normal() -> None:
    typical = fit_typical(correlated(4000), np.full(3, 0.01))
    deviates = [distance(typical, case)[0] for case in correlated(1000, seed=1)]
    assert np.mean(deviates) == pytest.approx(0.0, abs=0.15)
    assert np.std(deviates) == pytest.approx(1.0, abs=0.15)


def test_a_broken_correlation_is_further_than_its_parts() -> None:
    """Each of +1.5 and -1.5 is common; together, where the two always agree, they are not."""
    typical = fit_typical(correlated(4000), np.full(3, 0.01))
    agree, differ = (distance(typical, np.array([1.5, other, 0.0]))[0] for other in (1.5, -1.5))
    assert agree < 1.5
    assert differ > 4.0


def test_what_facts_add_sums_to_the_squared_distance_and_unknown_ones_add_nothing() -> None:
    typical = fit_typical(correlated(400), np.full(3, 0.01))
    case = np.array([1.0, np.nan, 2.0])
    known = [0, 2]
    x = typical.standardised(case)[known] * 1.6448536269514722
    squared = x @ np.linalg.inv(typical.correlation[np.ix_(known, known)]) @ x
    _, terms = distance(typical, case)
    assert np.isnan(terms[1])
    assert terms[known].sum() == pytest.approx(squared)
    assert distance(typical, np.full(3, np.nan))[0] == 0.0


def test_one_wild_case_in_forty_moves_ranges_and_correlation_little() -> None:
    clean = correlated(200)
    spoilt = np.concatenate([clean, np.tile([1e6, -1e6, 1e6], (5, 1))])
    a, b = fit_typical(clean, np.full(3, 0.01)), fit_typical(spoilt, np.full(3, 0.01))
    assert np.abs(a.quantiles[:, 1:3] - b.quantiles[:, 1:3]).max() < 0.3
    assert np.abs(a.correlation - b.correlation).max() < 0.2


def test_few_cases_shrink_the_correlation() -> None:
    """Facts that have nothing to do with each other: chance correlations of 25 cases are drawn towards none."""
    values = np.random.default_rng(2).standard_normal((25, 12))
    correlation = fit_typical(values, np.full(12, 0.01)).correlation
    raw = np.corrcoef(values.T)
    off = ~np.eye(12, dtype=bool)
    assert np.abs(correlation[off]).max() < 0.5 * np.abs(raw[off]).max()
    assert np.linalg.eigvalsh(correlation)[0] > 0


def test_quantiles_leave_out_the_unknown() -> None:
    values = np.stack([np.arange(101.0), np.full(101, np.nan)], axis=1)
    values[:51, 1] = np.arange(51.0)
    assert fact_quantiles(values)[:, 2] == pytest.approx([50.0, 25.0])


@pytest.mark.parametrize(
    ("values", "least"),
    [
        (np.zeros((30, 2)), np.array([1.0])),
        (np.zeros((30, 1)), np.array([0.0])),
        (np.full((30, 1), np.inf), np.array([1.0])),
        (np.zeros((5, 1)), np.array([1.0])),
    ],
)
def test_tables_that_tell_nothing_are_refused(values: np.ndarray, least: np.ndarray) -> None:
    with pytest.raises(EngineError):
        fit_typical(values, least)
