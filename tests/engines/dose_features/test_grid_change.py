"""Pooling to larger voxels and back: against plain NumPy and the grid's own trilinear resampling."""

from __future__ import annotations

import numpy as np
import pytest

from engines.dose_features.grid_change import pooled_image, pooled_region, refined
from engines.grid import Grid, VoxelSet, resample

SHAPE = (7, 10, 13)


@pytest.mark.parametrize("blocks", [(1, 1, 1), (2, 3, 3), (3, 4, 5), (7, 10, 13)])
def test_pooling_is_the_mean_of_blocks(blocks):
    rng = np.random.default_rng(1)
    share = np.where(rng.random(SHAPE) < 0.4, rng.random(SHAPE), 0).astype(np.float32)
    image = rng.integers(-1000, 3000, SHAPE).astype(np.int16)
    region, mean = pooled_region(VoxelSet.from_dense(share), SHAPE, blocks), pooled_image(image, blocks)
    for at in np.ndindex(*region.shape):
        block = tuple(slice(i * size, (i + 1) * size) for i, size in zip(at, blocks, strict=True))
        assert region[at] == pytest.approx(share[block].sum() / np.prod(blocks), abs=1e-5)
        assert mean[at] == pytest.approx(image[block].mean(), abs=1e-2)
    assert not pooled_region(VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32)), SHAPE, blocks).any()


def test_refined_is_trilinear_where_all_is_inside():
    rng = np.random.default_rng(2)
    source = Grid((0.0, 10.0, -5.0), (4.0, 4.0, 2.5), SHAPE)
    target = Grid((-3.0, 9.0, -7.0), (0.9, 1.3, 1.0), (25, 40, 60))
    values = rng.random(SHAPE).astype(np.float32)
    everywhere = np.ones(SHAPE, np.bool_)
    assert np.abs(refined(values, everywhere, source, target) - resample(values, source, target)).max() < 1e-5


def test_what_is_outside_takes_nothing_from_what_is_inside():
    rng = np.random.default_rng(3)
    source = Grid((0.0, 0.0, 0.0), (4.0, 4.0, 3.0), SHAPE)
    target = Grid((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (22, 40, 52))
    inside = rng.random(SHAPE) < 0.6
    values = np.where(inside, 50.0, np.nan).astype(np.float32)
    made = refined(np.nan_to_num(values, nan=1e6), inside, source, target)
    share = resample(inside, source, target)
    sure = np.abs(share - 0.5) > 1e-5
    assert np.allclose(made[(share > 0.5) & sure], 50.0, rtol=1e-5) and not made[(share < 0.5) & sure].any()
    assert not refined(values, np.zeros(SHAPE, np.bool_), source, target).any()
