"""Plane areas joined and cut: squares and discs by hand, and laws that hold for any polygon."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.contouring.shapes import (
    area_of,
    common,
    covered_by_none,
    crosses_itself,
    cut,
    joined,
    loops_of,
    smoothed,
    stroke,
    without_crumbs,
)
from engines.grid import Grid, rasterise

TURN = np.linspace(0, 2 * np.pi, 121)[:-1]


def circle(x, y, radius):
    return np.column_stack([x + radius * np.cos(TURN), y + radius * np.sin(TURN)])


def square(x, y, side):
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], float)


@st.composite
def stars(draw):
    radii = np.array(draw(st.lists(st.floats(3.0, 20.0), min_size=5, max_size=12)))
    angle = np.linspace(0, 2 * np.pi, radii.size, endpoint=False)
    middle = np.array(draw(st.tuples(st.floats(-10, 10), st.floats(-10, 10))))
    return middle + radii[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def test_squares_joined_and_cut():
    one, other = area_of([square(0, 0, 10)]), area_of([square(5, 5, 10)])
    assert shapely.area(joined(one, other)) == pytest.approx(175.0)
    assert shapely.area(cut(one, other)) == pytest.approx(75.0)
    assert shapely.area(common(one, other)) == pytest.approx(25.0)
    hole = cut(one, area_of([square(2, 2, 3)]))
    assert len(loops_of(hole)) == 2 and shapely.area(hole) == pytest.approx(91.0)


@pytest.mark.parametrize(
    "loops",
    [
        [circle(0, 0, 15), circle(1, 2, 8)],
        [circle(0, 0, 15), circle(12, 0, 8)],
        [np.array([[0, 0], [10, 10], [10, 0], [0, 10]], float)],
        [np.concatenate([circle(0, 0, 10), circle(1, 0, 6)])],
        [square(0, 0, 5), square(5, 5, 5)],
        [
            np.array(
                [[0, 0], [10, 0], [10, 10], [0, 10], [0, 5], [3, 5], [3, 7], [7, 7], [7, 3], [3, 3], [3, 5], [0, 5.0]]
            )
        ],
    ],
    ids=["hole", "overlap", "bow tie", "twice round", "corner", "keyhole"],
)
def test_loops_are_read_as_the_rasteriser_reads_them(loops):
    grid = Grid((-20.0, -20.0, 0.0), (0.5, 0.5, 1.0), (1, 90, 90))
    area = area_of(loops)
    assert shapely.is_valid(area)
    as_received = rasterise({0.0: loops}, grid).dense(grid.shape)
    np.testing.assert_allclose(rasterise({0.0: loops_of(area)}, grid).dense(grid.shape), as_received, atol=0.01)


@settings(deadline=None, max_examples=40)
@given(stars(), stars())
def test_adding_and_then_subtracting_leaves_what_does_not_overlap(one, other):
    base, polygon = area_of([one]), area_of([other])
    shared = shapely.area(common(base, polygon))
    assert shapely.area(cut(joined(base, polygon), polygon)) == pytest.approx(shapely.area(base) - shared, abs=0.02)
    assert shapely.area(joined(base, polygon)) == pytest.approx(
        shapely.area(base) + shapely.area(polygon) - shared, abs=0.02
    )


@settings(deadline=None, max_examples=25)
@given(stars(), stars())
def test_what_an_edit_does_not_touch_stays_to_the_last_digit(one, other):
    base = area_of([one])
    held = {tuple(point) for loop in loops_of(base) for point in loop}
    far = {point for point in held if shapely.distance(shapely.Point(point), area_of([other])) > 0.01}
    after = {tuple(point) for loop in loops_of(joined(base, area_of([other]))) for point in loop}
    assert far <= after


def test_a_stroke_is_a_capsule():
    capsule = stroke(np.array([[0.0, 0.0], [30.0, 0.0]]), 5.0)
    assert shapely.area(capsule) == pytest.approx(300 + np.pi * 25, rel=0.002)
    assert shapely.area(stroke(np.array([[2.0, 1.0]]), 8.0)) == pytest.approx(np.pi * 64, rel=0.004)


def test_smoothing_rounds_corners_and_takes_off_spikes():
    spiky = joined(area_of([square(0, 0, 30)]), area_of([np.array([[30, 14], [45, 15], [30, 16.0]])]))
    after = smoothed(spiky, 4.0)
    corners = (4 - np.pi) * 16
    assert shapely.area(after) == pytest.approx(900 - corners, abs=1.0)
    assert shapely.bounds(after)[2] < 31.0
    assert smoothed(area_of([square(0, 0, 6)]), 4.0).is_empty
    disc = area_of([circle(0, 0, 20)])
    assert shapely.area(smoothed(disc, 4.0)) == pytest.approx(shapely.area(disc), rel=0.002)


def test_crumbs_and_uncovered_parts():
    parts = joined(area_of([square(0, 0, 10), square(2, 2, 0.3)]), area_of([square(20, 0, 0.4)]))
    assert shapely.area(without_crumbs(parts, 0.25)) == pytest.approx(100.0)
    two = area_of([square(0, 0, 5), square(20, 0, 5)])
    assert shapely.area(covered_by_none(two, area_of([square(2, 2, 5)]))) == pytest.approx(25.0)


def test_crossing():
    assert crosses_itself(np.array([[0, 0], [10, 10], [10, 0], [0, 10]], float))
    assert not crosses_itself(square(0, 0, 3))


def test_loops_do_not_depend_on_where_they_begin():
    loop = circle(3, 4, 10)
    one, other = loops_of(area_of([loop])), loops_of(area_of([np.roll(loop, 17, axis=0)[::-1]]))
    assert [own.tobytes() for own in one] == [own.tobytes() for own in other]
