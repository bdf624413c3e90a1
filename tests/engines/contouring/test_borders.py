"""A mask drawn along pixel borders rasterises back to itself, whatever it looks like."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engines.contouring.borders import border_loops, border_outline
from engines.grid import Grid, rasterise


def test_one_block_has_four_corners():
    assert [set(loop) for loop in border_loops(np.ones((2, 3), bool))] == [{(0, 0), (0, 3), (2, 3), (2, 0)}]


def test_a_hole_is_a_loop_of_its_own():
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert sorted(len(loop) for loop in border_loops(ring)) == [4, 4]


def test_voxels_that_touch_at_a_corner_stay_separate():
    for mask in (np.eye(2, dtype=bool), np.eye(2, dtype=bool)[::-1]):
        assert sorted(len(loop) for loop in border_loops(mask)) == [4, 4]


def test_a_rectangle_is_its_four_corners():
    assert border_outline(np.zeros((3, 3), bool)) == []
    (square,) = border_outline(np.ones((3, 4), bool))
    assert {tuple(corner) for corner in square} == {(-0.5, -0.5), (3.5, -0.5), (3.5, 2.5), (-0.5, 2.5)}


@settings(deadline=None, max_examples=150)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_every_mask_comes_back_exactly(mask):
    grid = Grid((-31.248, 12.5, -4.0), (3.906, 3.906, 2.5), (1, *mask.shape))
    spacing, origin = np.array(grid.spacing_mm[:2]), np.array(grid.origin_mm[:2])
    loops = [loop * spacing + origin for loop in border_outline(mask)]
    assert np.abs(rasterise({-4.0: loops}, grid).dense(grid.shape)[0] - mask).max() < 1e-6
