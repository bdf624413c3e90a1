"""Points along a loop: evenly spaced, on the loop."""

from __future__ import annotations

import numpy as np
import pytest

from engines.contouring.lines import resampled

SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])


def test_points_of_a_square_lie_on_its_sides_and_evenly():
    points = resampled(SQUARE, 2.0)
    middles = [[2.0, 0.0], [4.0, 2.0], [2.0, 4.0], [0.0, 2.0]]
    corners = SQUARE.tolist()
    assert points.tolist() == [point for pair in zip(corners, middles, strict=True) for point in pair]


@pytest.mark.parametrize(("step_mm", "count"), [(100.0, 3), (5.0, 4), (0.3, 54)])
def test_no_two_points_are_further_apart_than_asked_and_three_are_left(step_mm, count):
    points = resampled(SQUARE, step_mm)
    assert len(points) == count
    assert np.hypot(*np.diff(points, axis=0).T).max() <= 16 / count + 1e-9
