"""Joining, cutting and boxing sparse regions gives what dense arrays give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engines.errors import EngineError
from engines.grid import VoxelSet

SHAPE = (3, 4, 5)
shares = arrays(np.float32, SHAPE, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@given(shares, shares)
def test_intersection_and_difference_of_shares(one, other):
    a, b = VoxelSet.from_dense(one), VoxelSet.from_dense(other)
    np.testing.assert_array_equal(a.intersection(b).dense(SHAPE), np.minimum(one, other))
    np.testing.assert_array_equal(a.intersection(b).index, b.intersection(a).index)
    np.testing.assert_array_equal(a.difference(b).dense(SHAPE), np.maximum(one - other, 0))
    assert (a.difference(b).fraction > 0).all() and (a.intersection(b).fraction > 0).all()


@given(shares)
def test_a_box_holds_the_region_and_no_more(dense):
    region = VoxelSet.from_dense(dense)
    if region.empty:
        with pytest.raises(EngineError):
            region.box(SHAPE)
        return
    low, high = region.box(SHAPE)
    cut = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    np.testing.assert_array_equal(region.dense_in((low, high), SHAPE), dense[cut])
    assert dense[cut].sum() == dense.sum()
    assert all(dense[cut].take(end, axis).any() for axis in range(3) for end in (0, -1))
    bounds = region.slice_bounds(SHAPE)
    assert [int((plane > 0).sum()) for plane in dense] == np.diff(bounds).tolist()
