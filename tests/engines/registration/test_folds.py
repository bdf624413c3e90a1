"""Folded fields are mended, others are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from engines.grid import Grid
from engines.registration import DisplacementField
from engines.registration.folds import LEAST_JACOBIAN, unfolded

GRID = Grid((0.0, 0.0, 0.0), (2.0, 2.5, 3.0), (14, 16, 18))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), roughness=st.floats(0.7, 3.0), size_mm=st.floats(1.0, 60.0))
def test_whatever_comes_in_is_one_to_one_when_it_goes_out(seed, roughness, size_mm):
    noise = np.random.default_rng(seed).standard_normal((*GRID.shape, 3))
    rough = np.stack([gaussian_filter(noise[..., axis], roughness) for axis in range(3)], axis=-1)
    field = (size_mm * rough / np.abs(rough).max()).astype(np.float32)
    assert DisplacementField(GRID, unfolded(field, GRID)).jacobian().min() >= LEAST_JACOBIAN


def test_a_field_without_folds_comes_back_as_it_is():
    gentle = np.zeros((*GRID.shape, 3), np.float32)
    gentle[..., 0] = 0.3 * GRID.axes_mm()[0]
    assert unfolded(gentle, GRID) is gentle


def test_far_from_a_fold_nothing_changes():
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (9, 9, 60))
    field = np.zeros((*grid.shape, 3), np.float32)
    field[4, 4, 10, 0], field[4, 4, 11, 0] = 4.0, -4.0
    assert DisplacementField(grid, field).jacobian().min() < LEAST_JACOBIAN
    mended = unfolded(field, grid)
    assert mended[:, :, 30:] == pytest.approx(0.0, abs=1e-6)
    assert np.abs(mended).max() < 4.0
