"""Grown and shrunk spheres, boxes and cylinders against what geometry says."""

from __future__ import annotations

import numpy as np
import pytest

from engines.contouring import grown, reached_slices, shrunk
from engines.errors import EngineError
from engines.grid import Grid, Margins, rasterise
from engines.grid.rasterise import even_odd_area_mm2

GRID = Grid((-60.3, -59.0, -50.0), (1.2, 1.1, 2.0), (51, 108, 100))
Z_MM = GRID.axes_mm()[2]
TURN = np.linspace(0, 2 * np.pi, 361)[:-1]
SIDES = Margins(left=6, right=3, anterior=2, posterior=8, superior=6, inferior=2)


def sphere(radius):
    found = {}
    for index, z in enumerate(Z_MM.tolist()):
        if abs(z) < radius:
            found[index] = (np.sqrt(radius**2 - z**2) * np.column_stack([np.cos(TURN), np.sin(TURN)]),)
    return found


def rectangle(x0, x1, y0, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def prism(low, high, *loops):
    return dict.fromkeys(range(low, high + 1), loops)


def volume_mm3(loops):
    return GRID.spacing_mm[2] * sum(even_odd_area_mm2(own) for own in loops.values())


def mask(loops):
    return rasterise({float(Z_MM[index]): own for index, own in loops.items()}, GRID).dense(GRID.shape)


@pytest.mark.parametrize("margin", [1.0, 3.0, 5.0, 7.5, 12.0])
def test_a_sphere_grown_is_a_larger_sphere(margin):
    found = grown(sphere(25.0), GRID, Margins.all_round(margin))
    assert volume_mm3(found) == pytest.approx(4 / 3 * np.pi * (25 + margin) ** 3, rel=0.01)
    middle = np.hypot(*found[25][0].T)
    assert np.abs(middle - 25 - margin).max() < 0.12


@pytest.mark.parametrize("margin", [1.0, 3.0, 5.0, 7.5, 12.0])
def test_a_sphere_shrunk_is_a_smaller_sphere(margin):
    found = shrunk(sphere(25.0), GRID, Margins.all_round(margin))
    assert volume_mm3(found) == pytest.approx(4 / 3 * np.pi * (25 - margin) ** 3, rel=0.015)


def test_each_side_of_a_box_moves_by_its_own_margin():
    """40 x 30 mm on 11 slices: grown by whole slices along z, and by the sides' margins in plane."""
    found = grown(prism(20, 30, rectangle(-20, 20, -15, 15)), GRID, SIDES)
    assert (min(found), max(found)) == (19, 33)
    (loop,) = found[25]
    np.testing.assert_allclose(loop.min(axis=0), [-23, -17], atol=0.1)
    np.testing.assert_allclose(loop.max(axis=0), [26, 23], atol=0.1)
    back = shrunk(prism(19, 33, rectangle(-23, 26, -17, 23)), GRID, SIDES)
    assert (min(back), max(back)) == (20, 30)
    np.testing.assert_allclose(back[25][0].min(axis=0), [-20, -15], atol=0.1)
    np.testing.assert_allclose(back[25][0].max(axis=0), [20, 15], atol=0.1)


def test_a_corner_is_a_quarter_of_an_ellipse():
    (loop,) = grown(prism(20, 30, rectangle(-20, 20, -15, 15)), GRID, SIDES)[25]
    for corner, across, along in (((20, 15), 6, 8), ((-20, 15), -3, 8), ((-20, -15), -3, -2), ((20, -15), 6, -2)):
        way = (loop - corner) / (across, along)
        beyond = way[(way > 0.15).all(axis=1)]
        assert len(beyond) > 2
        np.testing.assert_allclose(np.hypot(*beyond.T), 1.0, atol=0.05)


def test_a_box_grown_has_the_volume_of_its_parts():
    """Steiner's formula for a box and a ball, with the height that whole slices give."""
    found = grown(prism(20, 30, rectangle(-20, 20, -15, 15)), GRID, Margins.all_round(6.0))
    a, b, c, r = 40.0, 30.0, 22.0, 6.0
    expected = a * b * c + 2 * (a * b + a * c + b * c) * r + np.pi * (a + b + c) * r**2 + 4 / 3 * np.pi * r**3
    assert volume_mm3(found) == pytest.approx(expected, rel=0.01)


def test_no_margin_leaves_a_side_where_it_was():
    found = grown(prism(20, 22, rectangle(-20.2, 20.1, -15.3, 15.4)), GRID, Margins(5, 0, 0, 4, 0, 0))
    assert sorted(found) == [20, 21, 22]
    np.testing.assert_allclose(found[21][0].min(axis=0), [-20.2, -15.3], atol=0.16)
    np.testing.assert_allclose(found[21][0].max(axis=0), [25.1, 19.4], atol=0.16)


def test_margins_along_the_patient_come_in_whole_slices():
    """A flat end reaches the slices whose middle lies within the margin from half a slice beyond its own."""
    end = prism(20, 25, rectangle(-20, 20, -15, 15))
    for margin, slices in ((0.0, 0), (0.9, 0), (1.0, 0), (1.1, 1), (2.9, 1), (3.1, 2), (5.0, 2), (5.1, 3)):
        assert max(grown(end, GRID, Margins(3, 3, 3, 3, margin, 0))) == 25 + slices


def test_a_branch_that_ends_has_its_margin_while_another_goes_on():
    left, right = rectangle(10, 30, -10, 10), rectangle(-30, -10, -10, 10)
    branches = {**prism(10, 20, left, right), **prism(21, 30, left)}
    found = grown(branches, GRID, Margins.all_round(4.0))
    reached = [index for index in found if any(loop[:, 0].mean() < 0 for loop in found[index])]
    assert max(reached) == 22 and max(found) == 32


def test_a_hole_closes_where_the_margin_spans_it():
    ring = prism(20, 30, rectangle(-20, 20, -20, 20), rectangle(-5, 5, -5, 5))
    assert len(grown(ring, GRID, Margins.all_round(4.0))[25]) == 2
    assert len(grown(ring, GRID, Margins.all_round(6.0))[25]) == 1
    assert len(shrunk(ring, GRID, Margins.all_round(4.0))[25]) == 2


def test_grown_holds_the_region_and_grows_with_the_margin():
    rng = np.random.default_rng(3)
    radius = 20 + np.cumsum(rng.normal(0, 0.4, 360)) * np.hanning(360)
    region = prism(20, 28, radius[:, None] * np.column_stack([np.cos(TURN), np.sin(TURN)]))
    before = mask(region)
    for margin in (0.5, 2.0, 4.0, 8.0):
        now = mask(grown(region, GRID, Margins.all_round(margin)))
        assert (now >= before - 0.05).all()
        before = now


def test_shrinking_undoes_growing_of_a_ball():
    again = shrunk(grown(sphere(20.0), GRID, Margins.all_round(6.0)), GRID, Margins.all_round(6.0))
    assert volume_mm3(again) == pytest.approx(4 / 3 * np.pi * 20.0**3, rel=0.03)


def test_some_slices_are_as_all_are():
    region = sphere(18.0)
    every = grown(region, GRID, SIDES)
    few = grown({index: own for index, own in region.items() if index > 20}, GRID, SIDES, slices=[30, 31])
    assert sorted(few) == [30, 31]
    for index, loops in few.items():
        for one, other in zip(loops, every[index], strict=True):
            np.testing.assert_array_equal(one, other)
    assert list(reached_slices(25, GRID, SIDES)) == [24, 25, 26, 27, 28]


def test_the_body_goes_on_beyond_the_image():
    column = prism(0, GRID.shape[0] - 1, rectangle(-40, 40, -40, 40))
    found = shrunk(column, GRID, Margins.all_round(5.0))
    assert sorted(found) == list(range(GRID.shape[0]))
    near = shrunk(column, GRID, Margins.all_round(5.0), [0, 3], near={0: [rectangle(30, 38, -5, 5)]})
    assert sorted(near) == [0, 3]
    assert near[3][0][:, 0].max() == pytest.approx(35.0, abs=0.1)
    assert shrunk(column, GRID, Margins.all_round(5.0), [0], near={0: [rectangle(90, 95, -5, 5)]}) == {}


def test_nothing_grows_to_nothing_and_a_thin_part_shrinks_to_nothing():
    assert grown({}, GRID, SIDES) == {} and shrunk({}, GRID, SIDES) == {}
    for margin in (4.0, 30.0):
        assert shrunk(prism(20, 30, rectangle(-3, 3, -3, 3)), GRID, Margins.all_round(margin)) == {}


@pytest.mark.parametrize("margin", [-1.0, np.nan, np.inf])
def test_margins_that_are_none(margin):
    with pytest.raises(EngineError):
        Margins.all_round(margin)
