"""Leaves along Y and stacked leaves against the same openings of one layer along X: the same fluence and dose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Beam, ControlPoint, Jaws
from appliance.contracts.collimation import positions_of, row_boundaries_mm, single_layer
from appliance.planning import calculate_dose

from .cases import PENCIL, plan, water_box

JAWS = Jaws(-30.0, 25.0, -20.0, 15.0)


def beam_of(points: tuple[ControlPoint, ...], borders: tuple[float, ...], **changes: object) -> Beam:
    return Beam(1, "B", "M", 6.0, "STANDARD", (0.0, 100.0, 0.0), 1000.0, 600.0, borders, points, **changes)


def two(a, b, *, collimator: float = 0.0, jaws: Jaws = JAWS, **changes: object) -> tuple[ControlPoint, ...]:
    return tuple(ControlPoint(mu, 0.0, collimator, 0.0, jaws, a, b, **changes) for mu in (0.0, 100.0))


def test_leaves_along_y_are_leaves_along_x_of_a_collimator_turned_by_90_degrees():
    """By hand: pair 0 covers X from -40 to -10. In the turned frame its row is Y' = -X: from 10 to 40, the last one."""
    borders, a, b = (-40.0, -10.0, 10.0, 40.0), (-5.0, -12.0, -20.0), (8.0, 9.0, 15.0)
    along_y = beam_of(two(a, b), borders, leaf_axis="Y")
    np.testing.assert_array_equal(row_boundaries_mm(along_y), [-40.0, -10.0, 10.0, 40.0])
    left, right, jaws = single_layer(along_y, positions_of(along_y, along_y.control_points[0]))
    np.testing.assert_array_equal(left, a[::-1])
    np.testing.assert_array_equal(right, b[::-1])
    # jaws along the leaves: Y; across them Y' = -X
    np.testing.assert_array_equal(jaws, [-20.0, 15.0, -25.0, 30.0])


def test_the_dose_of_leaves_along_y_is_that_of_the_turned_collimator():
    borders, a, b = (-40.0, -10.0, 10.0, 40.0), (-5.0, -12.0, -20.0), (8.0, 9.0, 15.0)
    along_y = beam_of(two(a, b), borders, leaf_axis="Y")
    turned_jaws = Jaws(JAWS.y1_mm, JAWS.y2_mm, -JAWS.x2_mm, -JAWS.x1_mm)
    turned = beam_of(two(a[::-1], b[::-1], collimator=90.0, jaws=turned_jaws), borders)
    doses = [calculate_dose(plan(one), water_box(), None, **PENCIL).dose_gy for one in (along_y, turned)]
    np.testing.assert_allclose(doses[0], doses[1], atol=1e-6)
    # and not that of leaves along X
    along_x = calculate_dose(plan(beam_of(two(a, b), borders)), water_box(), None, **PENCIL).dose_gy
    assert np.abs(along_x - doses[0]).max() > 0.1 * doses[0].max()


UPPER = (-15.0, -5.0, 5.0, 15.0)
LOWER = (-20.0, -10.0, 0.0, 10.0, 20.0)


def stacked(**changes: object) -> Beam:
    points = two(
        (-10.0, -12.0, -14.0),
        (10.0, 11.0, 9.0),
        lower_a_mm=(-30.0, -8.0, -13.0, -30.0),
        lower_b_mm=(30.0, 30.0, 7.0, 30.0),
        **changes,
    )
    return beam_of(points, UPPER, lower_boundaries_mm=LOWER)


def test_stacked_leaves_leave_open_what_both_layers_do():
    """Rows of 5 mm from -15 to 15; each is covered by one pair of each layer, the opening is the overlap."""
    made = stacked()
    np.testing.assert_array_equal(row_boundaries_mm(made), [-15, -10, -5, 0, 5, 10, 15])
    left, right, _ = single_layer(made, positions_of(made, made.control_points[0]))
    np.testing.assert_array_equal(left, [-10, -8, -8, -12, -13, -14])
    np.testing.assert_array_equal(right, [10, 10, 11, 7, 7, 9])


def test_a_row_that_one_layer_closes_is_closed():
    points = two((-10.0, -10.0, -10.0), (10.0, 10.0, 10.0), lower_a_mm=(20.0,) * 4, lower_b_mm=(25.0,) * 4)
    made = beam_of(points, UPPER, lower_boundaries_mm=LOWER)
    left, right, _ = single_layer(made, positions_of(made, points[0]))
    assert np.all(right <= left)


def test_the_dose_of_stacked_leaves_is_near_that_of_their_common_opening():
    """One layer of the merged rows leaks through one leaf where two would close: a difference below the leakage."""
    made = stacked()
    left, right, _ = single_layer(made, positions_of(made, made.control_points[0]))
    merged = beam_of(two(tuple(left), tuple(right)), tuple(row_boundaries_mm(made)))
    doses = [calculate_dose(plan(one), water_box(), None, **PENCIL).dose_gy for one in (made, merged)]
    assert float(np.abs(doses[0] - doses[1]).max()) < 0.03 * float(doses[1].max())


@pytest.mark.parametrize("make", [lambda: stacked(), lambda: beam_of(two((), ()), ())], ids=["stacked", "jaws only"])
def test_positions_move_linearly_layer_by_layer(make):
    made = make()
    moved = replace(made.control_points[1], jaws=Jaws(-10, 10, -10, 10))
    first, final = positions_of(made, made.control_points[0]), positions_of(made, moved)
    assert len(first) == len(final) == (5 if made.lower_boundaries_mm else 3)
    np.testing.assert_array_equal(final[0], [-10, 10, -10, 10])
