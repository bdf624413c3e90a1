"""Distances to a head and a bore against geometry worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.clearance import bore_distances, box_points, gantry_axes, head_distances, outline_points, swept
from engines.errors import EngineError

HEAD = {"face_mm": 415.0, "radius_mm": 400.0}


def at(*gantry_deg, couch_deg=0.0, position="HFS"):
    gantry = np.array(gantry_deg, float)
    return gantry_axes(gantry, np.full(gantry.size, couch_deg), position)


def circle(radius_mm, centre=(0.0, 0.0), corners=3600):
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.column_stack([np.cos(angle), np.sin(angle)]) * radius_mm + np.array(centre)


def test_a_round_patient_beside_the_isocentre():
    """Radius 150 mm, its axis 40 mm to the left (LPS x = 40). Seen along the beam at gantry g the centre lies 40 sin g
    towards the source, so the gap is 415 - 150 - 40 sin g: 265, 225, 265 and 305 mm."""
    points = outline_points([(z, circle(150.0, (40.0, 0.0))) for z in (-50.0, 0.0, 50.0)], 5.0)
    distance, index = head_distances(points, *at(0, 90, 180, 270), **HEAD)
    assert distance == pytest.approx([265.0, 225.0, 265.0, 305.0], abs=1e-3)
    assert points[index[1]][:2] == pytest.approx([190.0, 0.0], abs=0.3)
    assert head_distances(points, *at(30), **HEAD)[0] == pytest.approx(415 - 150 - 20, abs=1e-3)


def test_beyond_the_rim_distances_are_slanted():
    """A point 500 mm towards the feet and 315 mm up: 100 mm beside the rim and 100 mm below the face; at gantry 90 it
    is as far from the axis as before, sqrt(500^2 + 315^2) - 400, and 415 mm below the face."""
    point = np.array([[0.0, -315.0, -500.0]])
    distance, _ = head_distances(point, *at(0, 90), **HEAD)
    assert distance[0] == pytest.approx(np.hypot(100.0, 100.0))
    assert distance[1] == pytest.approx(np.hypot(np.hypot(500.0, 315.0) - 400.0, 415.0))


def test_inside_the_head_the_distance_is_below_nothing():
    """430 mm along the axis is 15 mm behind the face; behind it and beside the rim the rim counts."""
    assert head_distances(np.array([[0.0, -430.0, 0.0]]), *at(0), **HEAD)[0] == pytest.approx(-15.0)
    assert head_distances(np.array([[450.0, -430.0, 0.0]]), *at(0), **HEAD)[0] == pytest.approx(50.0)


def test_a_turned_couch_brings_the_feet_under_the_head():
    """Feet 500 mm from the isocentre towards the table's foot. With the couch at 90 degrees (IEC 61217:
    counter-clockwise seen from above) the table's Y points to fixed -X, so the feet lie at +X: the head at gantry 90 is
    inside by 85 mm."""
    feet = np.array([[0.0, 0.0, -500.0]])
    ninety, other = (head_distances(feet, *at(g, couch_deg=90.0), **HEAD)[0][0] for g in (90, 270))
    assert ninety == pytest.approx(-85.0)
    assert other == pytest.approx(415.0 + 500.0)
    assert head_distances(feet, *at(90), **HEAD)[0][0] == pytest.approx(np.hypot(100.0, 415.0))


@pytest.mark.parametrize(("position", "sign"), [("HFS", 1), ("HFP", -1), ("FFS", -1), ("FFP", 1)])
def test_a_patient_position_decides_which_side_is_at_gantry_90(position, sign):
    left = np.array([[sign * 100.0, 0.0, 0.0]])
    assert head_distances(left, *at(90, position=position), **HEAD)[0][0] == pytest.approx(315.0)


def test_a_couch_under_the_patient():
    """A slab 530 mm wide from 150 to 225 mm below the isocentre. From below (gantry 180): 415 - 225 = 190 mm. At gantry
    150 the corner at +265: 415 - 265 sin 150 + 225 cos 150 = 415 - 132.5 - 194.86 = 87.64 mm."""
    slab = box_points((-265.0, 150.0, -300.0), (265.0, 225.0, 300.0))
    distance, _ = head_distances(slab, *at(180, 150), **HEAD)
    assert distance == pytest.approx([190.0, 415 - 132.5 - 225 * np.cos(np.pi / 6)])


def test_a_bore_does_not_care_where_the_gantry_stands():
    """Corner of the slab at hypot(265, 225) = 347.6 mm from the axis of a bore of 475 mm: 127.4 mm."""
    slab = box_points((-265.0, 150.0, -300.0), (265.0, 225.0, 300.0))
    distance, _ = bore_distances(slab, at(0, 77, 180)[1], radius_mm=475.0)
    assert distance == pytest.approx([475 - np.hypot(265, 225)] * 3)
    assert bore_distances(np.array([[0.0, 500.0, 0.0]]), at(0)[1], radius_mm=475.0)[0] == pytest.approx(-25.0)


def test_an_outline_ends_half_a_slab_beyond_its_last_plane_and_has_no_long_edge():
    square = np.array([[-50.0, -50.0], [50.0, -50.0], [50.0, 50.0], [-50.0, 50.0]])
    points = outline_points([(0.0, square), (3.0, square)], 3.0)
    assert sorted(set(points[:, 2])) == [-1.5, 0.0, 3.0, 4.5]
    plane = points[points[:, 2] == 0.0][:, :2]
    steps = np.linalg.norm(plane - np.roll(plane, 1, axis=0), axis=1)
    assert steps.max() <= 10.0 + 1e-9 and len(plane) == 40


def test_a_sweep_stops_at_every_control_point_and_at_most_every_two_degrees():
    turn = swept(np.array([0.0, 5.0, 5.0, 4.0]), np.array([0.0, 0.0, 0.0, 3.0]))
    assert turn.gantry_deg == pytest.approx([0, 5 / 3, 10 / 3, 5, 4.5, 4])
    assert turn.couch_deg == pytest.approx([0, 0, 0, 0, 1.5, 3])
    assert turn.control_point.tolist() == [0, 0, 0, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(*[st.floats(-900, 900)] * 3), min_size=1, max_size=30),
    gantry=st.lists(st.floats(0, 360), min_size=1, max_size=20),
    couch=st.floats(-90, 90),
)
def test_the_nearest_point_is_the_one_that_trying_all_finds(points, gantry, couch):
    """The same from the definition, point by point: what is left out as too far never was the nearest."""
    points = np.array(points)
    beam, axes = at(*gantry, couch_deg=couch)
    distance, _ = head_distances(points, beam, axes, **HEAD)
    for made, axis in zip(distance, beam, strict=True):
        along = points @ axis
        aside = np.linalg.norm(points - along[:, None] * axis, axis=1)
        inside = (along > 415) & (aside <= 400)
        apart = np.hypot(np.maximum(aside - 400, 0), np.maximum(415 - along, 0))
        assert made == pytest.approx(np.where(inside, 415 - along, apart).min(), abs=1e-6)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((3, 2)), np.full((1, 3), np.nan)])
def test_points_that_are_none_are_refused(points):
    with pytest.raises(EngineError):
        head_distances(points, *at(0), **HEAD)
    with pytest.raises(EngineError):
        bore_distances(np.zeros((1, 3)), at(0)[1], radius_mm=0.0)
    with pytest.raises(EngineError):
        outline_points([], 3.0)
