"""Two layers of leaves as rows, and what their pairs open together: by hand, and against every opening there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import PlanningError
from appliance.planning import load_machine
from appliance.planning.leaf_layers import LeafLayers, leaf_layers
from engines.sequencing import longest_gain

SMALL = LeafLayers(
    borders_mm=(np.array([-10.0, 0.0, 10.0]), np.array([-15.0, -5.0, 5.0, 15.0])),
    row_borders_mm=np.array([-10.0, -5.0, 0.0, 5.0, 10.0]),
    members=np.array([[0, 2], [0, 3], [1, 3], [1, 4]]),
)
"""Two pairs over three, four rows."""


def test_rows_of_the_dual_layer_machine_are_half_leaves_within_its_field():
    layers = leaf_layers(load_machine("dual_layer"))
    assert layers.counts == (29, 28)
    np.testing.assert_allclose(layers.row_borders_mm, np.arange(-140.0, 141.0, 5.0))
    # the first upper pair from -145 to -135 and the first lower one from -140 to -130 share the row from -140 to -135
    assert layers.members[:3].tolist() == [[0, 29], [1, 29], [1, 30]]
    assert layers.members[-1].tolist() == [28, 56]
    assert layers.borders_mm[0][[0, 1, -1]].tolist() == [-140.0, -135.0, 140.0]
    assert [part.stop - part.start for part in layers.parts] == [29, 28]
    assert layers.low_mm.size == layers.high_mm.size == layers.pairs == 57


def test_one_layer_is_its_own_rows():
    layers = leaf_layers(load_machine("millennium120"))
    assert layers.counts == (60,)
    assert layers.members[:, 0].tolist() == list(range(60))
    gain = np.random.default_rng(0).normal(size=(60, 12))
    _, first, last = longest_gain(gain, 2)
    for got, expected in zip(layers.best(gain, 2), (first, last), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_pair_outside_an_opening_that_no_jaw_changes_is_refused():
    machine = load_machine("dual_layer")
    narrow = machine.model_copy(update={"jaws": machine.jaws.model_copy(update={"y1_mm": (-120.0, -120.0)})})
    with pytest.raises(PlanningError, match="outside the opening"):
        leaf_layers(narrow)


def together(layers: LeafLayers, left, right):
    """Openings of rows that pairs leave open together."""
    return left[layers.members].max(axis=1), right[layers.members].min(axis=1)


def test_leaves_around_rows_open_just_these_where_edges_only_rise_or_fall():
    """By hand: edges -4, -3, -1, 0 on the left and 8, 6, 6, 5 on the right, each row met exactly."""
    left, right = np.array([-4.0, -3.0, -1.0, 0.0]), np.array([8.0, 6.0, 6.0, 5.0])
    around = SMALL.around(left, right)
    np.testing.assert_array_equal(around[0], [-4.0, -1.0, -4.0, -3.0, 0.0])
    np.testing.assert_array_equal(around[1], [8.0, 6.0, 8.0, 6.0, 5.0])
    for got, expected in zip(together(SMALL, *around), (left, right), strict=True):
        np.testing.assert_array_equal(got, expected)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_leaves_around_rows_open_at_least_these(seed):
    rng = np.random.default_rng(seed)
    left = rng.normal(size=(3, 4))
    right = left + rng.exponential(size=left.shape)
    around_left, around_right = SMALL.around(left, right)
    for k in range(3):
        low, high = together(SMALL, around_left[k], around_right[k])
        assert np.all(low <= left[k]) and np.all(high >= right[k])


COLUMNS = 4
OPENINGS = [(0, 0), *((i, j) for i in range(COLUMNS) for j in range(i + 1, COLUMNS + 1))]


@given(seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_no_layer_could_gain_more_by_itself(seed):
    """Against every opening of each layer with the other as it stands; and never less than opening nothing."""
    gain = np.random.default_rng(seed).normal(size=(4, COLUMNS))
    first, last = SMALL.best(gain, 1)
    got = SMALL.gain(gain, first, last)
    assert got >= 0
    upper = SMALL.parts[0]
    for some in product(OPENINGS, repeat=2):
        other_first, other_last = first.copy(), last.copy()
        other_first[upper], other_last[upper] = zip(*some, strict=True)
        assert SMALL.gain(gain, other_first, other_last) <= got + 1e-12


def test_a_shape_that_pairs_can_make_is_covered_exactly():
    """The lower left quarter of the field, and a shape with a row shut between open ones, which two layers make."""
    quarter = np.array([[0, 0, 2, 2]]), np.array([[2, 2, 2, 2]])
    split = np.array([[0, 0, 0, 0]]), np.array([[3, 0, 0, 4]])
    for first, last in (quarter, split):
        pair_first, pair_last = SMALL.cover(first, last, COLUMNS, 1)
        low, high = together(SMALL, pair_first[0], pair_last[0])
        column = np.arange(COLUMNS)
        asked = (column >= first[0][:, None]) & (column < last[0][:, None])
        made = (column >= low[:, None]) & (column < high[:, None])
        np.testing.assert_array_equal(made, asked)
