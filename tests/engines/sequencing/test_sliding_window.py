"""A sweep delivers the map it was made for, in the time that theory says."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.sequencing import positions, sweep


def test_a_flat_field_takes_its_fluence_and_the_way():
    """10 MU over 4 columns at 0.5 MU a column: the left leaf follows; the last border is passed after 10 + 4 * 0.5."""
    right, left = sweep(np.full((1, 4), 10.0), mu_per_column=0.5)
    np.testing.assert_allclose(left - right, [[0, 10, 10, 10, 0]])
    assert left.max() == pytest.approx(12.0)


@pytest.mark.parametrize("seed", range(4))
def test_what_lies_between_the_leaves_is_the_fluence(seed):
    fluence = np.random.default_rng(seed).gamma(2.0, 3.0, (5, 20))
    right, left = sweep(fluence, mu_per_column=0.1)
    edges = np.pad(fluence, ((0, 0), (1, 1)))
    np.testing.assert_allclose((left - right)[:, 1:-1], 0.5 * (edges[:, 1:-2] + edges[:, 2:-1]))
    assert np.diff(right, axis=1).min() >= 0.1 - 1e-12
    assert np.diff(left, axis=1).min() >= 0.1 - 1e-12


def test_leaves_only_go_one_way_and_never_cross():
    fluence = np.random.default_rng(7).gamma(2.0, 3.0, (5, 20))
    right, left = sweep(fluence, mu_per_column=0.1)
    mu = np.linspace(0.0, float(left.max()), 60)
    a, b = positions(left, mu), positions(right, mu)
    assert a.shape == (60, 5)
    assert np.diff(a, axis=0).min() >= 0
    assert (b - a).min() >= -1e-9


def test_no_sweep_for_a_negative_map_or_leaves_without_a_speed():
    with pytest.raises(EngineError):
        sweep(np.array([[-1.0]]), mu_per_column=0.1)
    with pytest.raises(EngineError):
        sweep(np.array([[1.0]]), mu_per_column=0.0)
