"""Displacements, response surfaces, grown structures and DVH bands against what can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.grid import Grid, VoxelSet
from engines.photon.frame import beam_frame
from engines.robustness import Border, Response, chance, dvh_family, expected, moved_frame, moved_points, rotation


def test_a_quarter_turn_about_the_superior_axis_takes_left_to_posterior():
    np.testing.assert_allclose(rotation((0, 0, 90)) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_turns_are_made_about_x_first_then_y_then_z():
    np.testing.assert_allclose(rotation((90, 90, 0)) @ [0, 1, 0], [1, 0, 0], atol=1e-12)


def test_the_centre_of_a_turn_only_shifts():
    centre = (10.0, -5.0, 3.0)
    moved = moved_points(np.array([centre]), (1.0, 2.0, 3.0), (20.0, -7.0, 4.0), centre)
    np.testing.assert_allclose(moved, [[11.0, -3.0, 6.0]])


@pytest.mark.parametrize("gantry", [0.0, 40.0, 200.0])
def test_the_moved_beam_sees_a_point_where_the_room_beam_sees_the_moved_point(gantry):
    frame = beam_frame((4.0, -3.0, 7.0), gantry, collimator_deg=12.0, couch_deg=5.0)
    displacement = ((2.0, -1.0, 3.0), (1.5, -2.5, 4.0), (4.0, -3.0, 7.0))
    points = np.random.default_rng(1).uniform(-80, 80, (50, 3))
    seen = moved_frame(frame, *displacement).project(points)
    there = frame.project(moved_points(points, *displacement))
    np.testing.assert_allclose(seen, there, atol=1e-9)
    source = moved_points(moved_frame(frame, *displacement).source_mm[None], *displacement)[0]
    np.testing.assert_allclose(source, frame.source_mm, atol=1e-9)


def linear(slope: float, sigma: float, nominal: float = 50.0) -> Response:
    a = np.array([2.5])
    return Response(nominal, nominal - slope * a, nominal + slope * a, a, np.array([sigma]))


@pytest.mark.parametrize("limit", [48.0, 49.5, 50.0, 51.0])
def test_a_linear_metric_keeps_a_limit_with_the_probability_of_a_gaussian(limit):
    met, error = chance(linear(0.8, 1.5), limit, at_most=True, draws=40000, seed=3)
    exact = 0.5 * (1 + math.erf((limit - 50.0) / (0.8 * 1.5) / math.sqrt(2)))
    assert met == pytest.approx(exact, abs=4 * error + 1e-12)
    assert error < 0.003


def test_at_least_is_the_complement_of_at_most():
    kept = [chance(linear(0.8, 1.5), 49.0, at_most=side, draws=2000, seed=3)[0] for side in (True, False)]
    assert sum(kept) == pytest.approx(1.0)


def test_a_parabola_has_the_chance_and_the_moments_of_a_chi_square():
    """f = 10 + x^2 with x ~ N(0, 4): mean 14, variance 2 * 4^2, P(f <= 14) = P(|x| <= 2) = erf(1 / sqrt 2)."""
    a = np.array([3.0])
    surface = Response(10.0, np.array([19.0]), np.array([19.0]), a, np.array([2.0]))
    assert expected(surface) == pytest.approx(14.0)
    assert float(surface.variance_parts().sum()) == pytest.approx(32.0)
    met, error = chance(surface, 14.0, at_most=True, draws=40000, seed=5)
    assert met == pytest.approx(math.erf(1 / math.sqrt(2)), abs=4 * error)


def test_the_same_seed_gives_the_same_chance():
    one, other = (chance(linear(1.0, 1.0), 50.5, at_most=True, draws=1000, seed=9) for _ in range(2))
    assert one == other


def ball(radius_mm: float, spacing: tuple[float, float, float]) -> tuple[Grid, VoxelSet]:
    shape = tuple(int(60 / step) | 1 for step in spacing[::-1])
    origin = tuple(-step * (n - 1) / 2 for step, n in zip(spacing, shape[::-1], strict=True))
    grid = Grid(origin, spacing, shape)
    x, y, z = grid.axes_mm()
    r = np.sqrt(x[None, None, :] ** 2 + y[None, :, None] ** 2 + z[:, None, None] ** 2)
    width = float(np.cbrt(np.prod(spacing)))
    return grid, VoxelSet.from_dense(np.clip(0.5 + (radius_mm - r) / width, 0, 1).astype(np.float32))


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.5, 1.5, 3.0)])
@pytest.mark.parametrize("distance", [-3.0, 2.0, 5.0])
def test_a_grown_ball_has_the_volume_of_the_larger_ball(spacing, distance):
    grid, voxels = ball(15.0, spacing)
    volume_cc = Border(voxels, grid, 5.0).moved(distance).volume_cc(grid.voxel_volume_cc)
    radius_mm = (volume_cc * 1000 * 3 / (4 * math.pi)) ** (1 / 3)
    assert radius_mm == pytest.approx(15.0 + distance, abs=0.3)


@pytest.mark.parametrize("distance", [-4.0, 0.0, 4.0])
def test_a_box_drawn_along_voxels_moves_its_faces(distance):
    """20 x 20 x 20 mm in 2 mm voxels; the corners of the larger box are rounded: Steiner's formula gives its volume."""
    grid, _ = ball(10.0, (2.0, 2.0, 2.0))
    dense = np.zeros(grid.shape, np.float32)
    dense[9:19, 9:19, 9:19] = 1
    volume_cc = Border(VoxelSet.from_dense(dense), grid, 4.0).moved(distance).volume_cc(grid.voxel_volume_cc)
    d, a = distance, 20.0
    rounded = 6 * a**2 * d + 3 * math.pi * a * d**2 + 4 / 3 * math.pi * d**3 + a**3
    exact = (a + 2 * d) ** 3 if d <= 0 else rounded
    effective = np.cbrt(volume_cc * 1000) - np.cbrt(exact)
    assert abs(effective) < 0.6, "two faces, each within 0.3 mm"


def test_a_structure_grows_only_within_the_body_and_can_vanish():
    grid, voxels = ball(10.0, (2.0, 2.0, 2.0))
    assert np.array_equal(Border(voxels, grid, 4.0).moved(4.0, within=voxels).index, voxels.index)
    assert Border(voxels, grid, 15.0).moved(-15.0).empty


def test_dvh_of_two_voxels_by_hand():
    family = dvh_family(np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([1.0, 3.0]), np.array([0.0, 1.0, 1.5, 3.0]))
    np.testing.assert_allclose(family, [[100, 100, 75, 75], [100, 100, 100, 0]])
