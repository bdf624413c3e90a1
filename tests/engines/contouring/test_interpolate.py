"""The shape between two shapes: discs have discs between them, equal shapes themselves."""

from __future__ import annotations

import numpy as np
import pytest

from engines.contouring import loops_between
from engines.grid import Grid
from engines.grid.rasterise import even_odd_area_mm2

GRID = Grid((-50.0, -50.0, 0.0), (1.0, 1.2, 3.0), (9, 90, 100))
TURN = np.linspace(0, 2 * np.pi, 181)[:-1]


def circle(x, y, radius):
    return np.column_stack([x + radius * np.cos(TURN), y + radius * np.sin(TURN)])


def test_between_two_discs_of_one_centre_lies_a_disc():
    shapes = loops_between([circle(0, 0, 10)], [circle(0, 0, 20)], [0.25, 0.5, 0.75], GRID)
    for shape, radius in zip(shapes, (12.5, 15.0, 17.5), strict=True):
        (loop,) = shape
        assert np.abs(np.hypot(*loop.T) - radius).max() < 0.35
        assert even_odd_area_mm2(shape) == pytest.approx(np.pi * radius**2, rel=0.02)


def test_between_equal_shapes_lies_the_same_hole_included():
    ring = [circle(2, 3, 18), circle(2, 3, 8)]
    (shape,) = loops_between(ring, ring, [0.5], GRID)
    assert len(shape) == 2
    assert even_odd_area_mm2(shape) == pytest.approx(even_odd_area_mm2(ring), rel=0.02)


def test_discs_that_lie_apart_have_nothing_between_them():
    assert loops_between([circle(-30, 0, 8)], [circle(30, 0, 8)], [0.5], GRID) == [()]
