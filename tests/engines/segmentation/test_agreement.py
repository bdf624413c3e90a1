"""Overlap and surface distance of boxes, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.overlap import dice
from engines.segmentation import surface_distance_95_mm

SHAPE, STEP = (30, 30, 30), (3.0, 2.0, 1.0)


def box(low, high):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def test_dice_of_boxes():
    """10 x 10 x 10 and the same moved by 5 along x: 500 shared of 1000 and 1000: 0.5."""
    a = box((5, 5, 5), (15, 15, 15))
    assert dice(a, a) == 1.0 and dice(a, ~a) == 0.0 and dice(a & ~a, a & ~a) == 1.0
    assert dice(a, box((5, 5, 10), (15, 15, 20))) == pytest.approx(0.5)


@pytest.mark.parametrize(("axis", "step"), list(enumerate(STEP)))
def test_a_box_grown_by_two_voxels_on_all_sides_of_one_axis_is_that_far_off(axis, step):
    """From the grown box's end faces it is 2 voxels to the other; these are more than 5 % of the surface."""
    a = box((8, 8, 8), (20, 20, 20))
    low, high = [8, 8, 8], [20, 20, 20]
    low[axis] -= 2
    high[axis] += 2
    assert surface_distance_95_mm(a, box(low, high), STEP) == pytest.approx(2 * step)
    assert surface_distance_95_mm(a, a, STEP) == 0.0


def test_the_worse_of_both_directions_counts_and_a_few_voxels_do_not():
    """A single voxel 10 mm away is less than 5 % of the surface of a box, but all of the surface of itself."""
    a = box((8, 8, 8), (20, 20, 20))
    speck = box((8, 8, 29), (9, 9, 30))
    assert surface_distance_95_mm(a, a | speck, STEP) == 0.0
    assert surface_distance_95_mm(a, speck, STEP) > 10.0


def test_nothing_has_no_surface():
    with pytest.raises(EngineError):
        surface_distance_95_mm(box((1, 1, 1), (2, 2, 2)), np.zeros(SHAPE, bool), STEP)
