"""Sequencing: exact maps come back, more segments never fit worse, every aperture obeys its limits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engines.sequencing import Sequence, longest_gain, sequence_fluence

maps = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 9)), elements=st.integers(0, 12).map(float))


def drawn(sequence: Sequence, shape: tuple[int, int]):
    total = np.zeros(shape)
    for first, last, weight in zip(sequence.first, sequence.last, sequence.weight, strict=True):
        for row in range(shape[0]):
            total[row, first[row] : last[row]] += weight
    return total


def misfit(fluence, sequence: Sequence, widths) -> float:
    return float((widths[:, None] * (fluence - drawn(sequence, fluence.shape)) ** 2).sum())


def best_run(values, smallest: int) -> float:
    """Brute force over all runs of one row."""
    sums = [values[i:j].sum() for i in range(values.size) for j in range(i + smallest, values.size + 1)]
    return max([0.0, *sums])


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.integers(-9, 9).map(float)),
    st.integers(1, 4),
)
def test_longest_gain_against_brute_force(values, smallest):
    gain, first, last = longest_gain(values, smallest)
    for row in range(values.shape[0]):
        assert gain[row] == best_run(values[row], smallest)
        if gain[row] > 0:
            assert last[row] - first[row] >= smallest
            assert values[row, first[row] : last[row]].sum() == gain[row]
        else:
            assert first[row] == last[row]


def test_longest_gain_by_hand():
    gain, first, last = longest_gain(np.array([[-2, 3, -1, 4, -5.0], [-1, -1, -1, -1, -1], [5, -9, 4, 0, 0]]), 2)
    assert gain.tolist() == [6, 0, 4]
    assert (first.tolist()[0], last.tolist()[0]) == (1, 4)
    assert first[1] == last[1]
    assert (first[2], last[2]) == (2, 4)


def test_one_aperture_is_reproduced():
    fluence = np.zeros((4, 8))
    fluence[0, 1:5] = fluence[1, 2:8] = fluence[3, 0:3] = 7.0
    sequence = sequence_fluence(fluence, np.ones(4), segments=5, window=8)
    np.testing.assert_allclose(drawn(sequence, fluence.shape), fluence, atol=1e-9)
    assert len(sequence.weight) <= 2


def test_two_separate_apertures_are_reproduced():
    fluence = np.zeros((2, 10))
    fluence[:, 0:3] = 4.0
    fluence[:, 6:9] = 9.0
    sequence = sequence_fluence(fluence, np.ones(2), segments=6, window=10)
    np.testing.assert_allclose(drawn(sequence, fluence.shape), fluence, atol=1e-9)


def test_a_staircase_of_three_steps_is_reproduced():
    fluence = np.array([[2, 5, 9, 5, 2.0], [0, 3, 7, 3, 0]])
    sequence = sequence_fluence(fluence, np.ones(2), segments=12, window=5)
    assert misfit(fluence, sequence, np.ones(2)) < 0.01 * float((fluence**2).sum())


@settings(max_examples=60, deadline=None)
@given(maps)
def test_more_segments_never_fit_worse(fluence):
    widths = np.ones(fluence.shape[0])
    errors = [
        misfit(fluence, sequence_fluence(fluence, widths, segments=k, window=fluence.shape[1]), widths)
        for k in (1, 2, 3, 5, 8)
    ]
    # An aperture of less than 1/1000 of the map's maximum is dropped; its share of the misfit is all that may return.
    room = fluence.size * (1e-3 * fluence.max()) ** 2 * 4 + 1e-9
    assert all(b <= a + room for a, b in pairwise(errors))
    assert errors[0] <= float((fluence**2).sum())


@settings(max_examples=80, deadline=None)
@given(maps, st.integers(1, 3), st.integers(3, 9), st.integers(1, 8))
def test_apertures_obey_window_width_and_number(fluence, smallest, window, segments):
    columns = fluence.shape[1]
    sequence = sequence_fluence(fluence, np.ones(fluence.shape[0]), segments=segments, window=window, smallest=smallest)
    assert len(sequence.weight) == len(sequence.first) == len(sequence.last) <= segments
    assert np.all(sequence.weight > 0)
    width = sequence.last - sequence.first
    assert np.all((width == 0) | (width >= smallest))
    for first, last in zip(sequence.first, sequence.last, strict=True):
        is_open = last > first
        assert is_open.any()
        left, right = first[is_open].min(), last[is_open].max()
        assert 0 <= left < right <= columns
        used = min(window, columns)
        assert right <= used or left >= columns - used  # the first or the last `window` columns


@settings(max_examples=40, deadline=None)
@given(maps, st.sampled_from([0.125, 2.0, 64.0]))
def test_weights_scale_with_the_map(fluence, factor):
    """Powers of two are exact in floating point, so that even ties are broken alike."""
    widths = np.ones(fluence.shape[0])
    one = sequence_fluence(fluence, widths, segments=4, window=fluence.shape[1])
    other = sequence_fluence(fluence * factor, widths, segments=4, window=fluence.shape[1])
    assert np.array_equal(one.first, other.first)
    assert np.array_equal(one.last, other.last)
    np.testing.assert_allclose(other.weight, one.weight * factor, rtol=1e-9)


def test_a_tall_row_counts_for_its_height():
    # One aperture for two conflicting rows: the weight follows the row that is nine times as high.
    fluence = np.array([[10.0, 10.0], [4.0, 4.0]])
    tall_first = sequence_fluence(fluence, np.array([9.0, 1.0]), segments=1, window=2)
    tall_last = sequence_fluence(fluence, np.array([1.0, 9.0]), segments=1, window=2)
    assert tall_first.weight[0] > 9
    assert tall_last.weight[0] < 6


def test_an_empty_map_needs_no_aperture():
    sequence = sequence_fluence(np.zeros((3, 4)), np.ones(3), segments=5, window=4)
    assert sequence.first.shape == (0, 3)
    assert sequence.weight.size == 0


def test_a_peak_narrower_than_the_smallest_opening_is_still_served():
    fluence = np.zeros((1, 7))
    fluence[0, 3] = 6.0
    sequence = sequence_fluence(fluence, np.ones(1), segments=3, window=7, smallest=2)
    assert len(sequence.weight) > 0
    assert misfit(fluence, sequence, np.ones(1)) < 36.0
