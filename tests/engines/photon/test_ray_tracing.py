"""Radiological depth: analytic paths through boxes and slabs, and a slow sampler as an independent peer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.grid import Grid
from engines.photon.dose import Medium
from engines.photon.frame import BeamFrame, beam_frame

from .water import centred_grid, water

DEPTH_TOLERANCE_MM = 2e-3
"""float32 parameters along a ray of 1.5 m."""


def depth_of(medium: Medium, frame: BeamFrame, points: NDArray[np.floating] | list[list[float]]) -> NDArray[np.float32]:
    return medium.depth_mm(frame, np.asarray(points, np.float32))


def path_in_box(low: NDArray[np.float64], high: NDArray[np.float64], point: NDArray[np.float64], source) -> float:
    """Length of the segment point-source inside a box, by clipping (Liang and Barsky): the analytic answer."""
    way = np.asarray(source, float) - point
    enter, leave = 0.0, 1.0
    for axis in range(3):
        if abs(way[axis]) < 1e-12:
            if not low[axis] <= point[axis] <= high[axis]:
                return 0.0
            continue
        a, b = sorted(((low[axis] - point[axis]) / way[axis], (high[axis] - point[axis]) / way[axis]))
        enter, leave = max(enter, a), min(leave, b)
    return max(0.0, leave - enter) * float(np.linalg.norm(way))


def test_depth_on_the_axis_of_a_water_box_is_the_distance_from_its_face():
    medium = water(centred_grid((21, 31, 11), (4.0, 3.0, 5.0)))  # y from -46.5 to 46.5
    y = np.array([-45.0, -10.5, 0.0, 44.9])
    depth = depth_of(medium, beam_frame((0, 0, 0), 0), np.stack([0 * y, y, 0 * y], axis=1))
    np.testing.assert_allclose(depth, y + 46.5, atol=DEPTH_TOLERANCE_MM)


@pytest.mark.parametrize("gantry_deg", [0, 90, 180, 270])
def test_each_side_of_a_box_is_met_at_its_own_face(gantry_deg):
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (5, 10, 20))  # x -1..39, y -1..19, z -1..9
    depth = depth_of(water(grid), beam_frame((13.0, 5.0, 4.0), gantry_deg), [[13.0, 5.0, 4.0]])
    assert depth[0] == pytest.approx({0: 6.0, 90: 26.0, 180: 14.0, 270: 14.0}[gantry_deg], abs=DEPTH_TOLERANCE_MM)


def test_slab_interfaces_at_voxel_faces_are_exact():
    grid = centred_grid((5, 120, 5), (3.0, 2.5, 3.0))  # depth 0..300
    density = np.ones(grid.shape, np.float32)
    density[:, 20:52] = 0.25  # 50..130 mm
    depth_mm = np.array([10.0, 50.0, 90.0, 130.0, 200.0, 299.0])
    points = np.stack([0 * depth_mm, depth_mm - 150.0, 0 * depth_mm], axis=1)
    expected = [10.0, 50.0, 50 + 0.25 * 40, 50 + 0.25 * 80, 70 + 70.0, 70 + 169.0]
    np.testing.assert_allclose(
        depth_of(Medium(grid, density), beam_frame((0, 0, 0), 0), points), expected, atol=DEPTH_TOLERANCE_MM
    )


coordinate = st.floats(-90, 90, allow_nan=False, width=32)


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 360), st.floats(0, 360), st.lists(st.tuples(*[coordinate] * 3), min_size=1, max_size=17))
def test_oblique_rays_cross_a_cube_for_their_analytic_length(gantry, couch, points):
    grid = Grid((-31.0, -17.0, -22.5), (2.0, 3.0, 2.5), (19, 13, 33))
    low, high = np.array([-32.0, -18.5, -23.75]), np.array([34.0, 20.5, 23.75])
    frame = beam_frame((3.0, 1.0, -2.0), gantry, couch_deg=couch)
    depth = depth_of(water(grid, 0.7), frame, np.array(points))
    expected = [0.7 * path_in_box(low, high, np.array(p, np.float64), frame.source_mm) for p in points]
    # A ray that runs along a face may be counted on either side of it: then the box grown or shrunk by a hair decides.
    hair = 1e-3
    for got, want, point in zip(depth, expected, points, strict=True):
        p = np.array(point, np.float64)
        inner = 0.7 * path_in_box(low + hair, high - hair, p, frame.source_mm)
        outer = 0.7 * path_in_box(low - hair, high + hair, p, frame.source_mm)
        near = inner - DEPTH_TOLERANCE_MM <= got <= outer + DEPTH_TOLERANCE_MM
        assert near or got == pytest.approx(want, abs=DEPTH_TOLERANCE_MM)


def test_points_outside_the_lattice():
    medium = water(centred_grid((10, 10, 10), (4.0, 4.0, 4.0)))  # -20..20
    points = [[0, -60, 0], [0, 60, 0], [300, 0, 0], [0, 20.0, 500], [0, -20.0, 0]]
    depth = depth_of(medium, beam_frame((0, 0, 0), 0), points)
    # Before the box, behind it, beside it, far along z, on its front face.
    np.testing.assert_allclose(depth, [0, 40, 0, 0, 0], atol=DEPTH_TOLERANCE_MM)


def test_a_point_beyond_the_source_sees_only_what_lies_between():
    medium = water(centred_grid((10, 10, 10), (4.0, 4.0, 4.0)))
    depth = depth_of(medium, beam_frame((0, 0, 0), 0), [[0, -1500, 0]])
    assert depth[0] == 0.0


def test_a_source_inside_the_medium_ends_the_ray():
    medium = water(centred_grid((10, 100, 10), (40.0, 40.0, 40.0)))  # y from -2000: the source at -1000 is inside
    depth = depth_of(medium, beam_frame((0, 0, 0), 0), [[0, 0, 0], [0, 500, 0]])
    np.testing.assert_allclose(depth, [1000.0, 1500.0], rtol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 25])
def test_empty_space_has_no_depth_whatever_the_number_of_points(count):
    points = np.linspace([-15, -15, -15], [15, 15, 15], count).astype(np.float32)
    medium = water(centred_grid((10, 10, 10), (4.0, 4.0, 4.0)), 0.0)
    assert np.array_equal(medium.depth_mm(beam_frame((0, 0, 0), 33), points), np.zeros(count))


def test_one_filled_voxel_counts_only_on_rays_through_it():
    grid = centred_grid((9, 9, 9), (10.0, 10.0, 10.0))
    density = np.zeros(grid.shape, np.float32)
    density[4, 4, 4] = 2.0
    points = [[0, 40, 0], [9.0, 40, 0], [0, 40, -9.0], [0, 0, 0], [0, -40, 0]]
    depth = depth_of(Medium(grid, density), beam_frame((0, 0, 0), 0), points)
    np.testing.assert_allclose(depth, [20.0, 0, 0, 10.0, 0], atol=DEPTH_TOLERANCE_MM)


def sampled_depth(medium: Medium, source: NDArray[np.float64], point: NDArray[np.float64], step_mm: float) -> float:
    """Midpoint sampling of the ray, voxel by nearest centre."""
    way = source - point
    length = float(np.linalg.norm(way))
    # Everything lies within 120 mm of these points.
    t = np.arange(step_mm / 2, 120.0, step_mm) / length
    index = np.rint((point + t[:, None] * way - medium.grid.origin_mm) / medium.grid.spacing_mm).astype(int)
    inside = np.all((index >= 0) & (index < medium.grid.shape[::-1]), axis=1)
    i = index[inside]
    return float(medium.density[i[:, 2], i[:, 1], i[:, 0]].sum(dtype=np.float64)) * step_mm


@pytest.mark.parametrize(("gantry_deg", "couch_deg"), [(0, 0), (90, 0), (37, 0), (211, 25), (300, 310)])
def test_a_slow_sampler_agrees_in_a_rough_medium(gantry_deg, couch_deg):
    grid = Grid((-20.0, -31.0, -16.0), (2.0, 3.0, 1.7), (20, 22, 21))
    rng = np.random.default_rng(5)
    medium = Medium(grid, rng.uniform(0, 2, grid.shape).astype(np.float32))
    frame = beam_frame((2.0, -3.0, 1.0), gantry_deg, couch_deg=couch_deg)
    points = rng.uniform(-30, 30, (60, 3)).astype(np.float32)
    traced = medium.depth_mm(frame, points)
    step_mm = 0.002
    sampled = [sampled_depth(medium, frame.source_mm, p.astype(np.float64), step_mm) for p in points]
    # Each border may be placed wrongly by half a step, some 40 borders with a random sign, density below 2.
    np.testing.assert_allclose(traced, sampled, atol=2 * step_mm * np.sqrt(40))
    assert traced.max() > 30


def test_threads_do_not_change_the_depth():
    grid = centred_grid((20, 20, 20), (3.0, 3.0, 3.0))
    medium = Medium(grid, np.random.default_rng(1).uniform(0, 2, grid.shape).astype(np.float32))
    points = grid.centres_mm(np.arange(grid.size))
    frame = beam_frame((0, 0, 0), 20)
    assert np.array_equal(medium.depth_mm(frame, points, threads=1), medium.depth_mm(frame, points, threads=2))


@pytest.mark.parametrize(("front", "ssd_mm"), [(0, 970.0), (4, 982.0)])
def test_surface_on_the_axis(front, ssd_mm):
    grid = centred_grid((5, 20, 5), (3.0, 3.0, 3.0))  # y from -30
    density = np.ones(grid.shape, np.float32)
    density[:, :front] = 0.05  # foam in front is not the surface
    found = Medium(grid, density).ssd_mm(beam_frame((0, 0, 0), 0))
    assert found == pytest.approx(ssd_mm, abs=0.5)  # walked in steps of 0.5 mm


def test_without_anything_on_the_axis_the_surface_is_the_isocentre():
    grid = centred_grid((5, 5, 5), (3.0, 3.0, 3.0))
    assert water(grid).ssd_mm(beam_frame((100.0, 0, 0), 0)) == 1000.0
