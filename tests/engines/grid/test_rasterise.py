"""Partial volumes against areas known in closed form."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import EngineError
from engines.grid import Grid, rasterise
from engines.grid.rasterise import even_odd_area_mm2, shoelace_area_mm2

GRID = Grid((-50.0, -40.0, -10.0), (1.0, 1.5, 2.0), (11, 60, 101))


def circle(radius_mm, centre=(0.0, 0.0), points=720):
    angle = np.linspace(0.0, 2 * np.pi, points, endpoint=False)
    return np.stack([centre[0] + radius_mm * np.cos(angle), centre[1] + radius_mm * np.sin(angle)], axis=1)


def box(x0, x1, y0, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def volume_mm3(loops_by_z, grid=GRID, **options):
    return 1000.0 * rasterise(loops_by_z, grid, **options).volume_cc(grid.voxel_volume_cc)


@pytest.mark.parametrize("radius_mm", [5.0, 12.3, 30.0])
def test_disc_has_its_analytic_volume(radius_mm):
    expected = np.pi * radius_mm**2 * GRID.spacing_mm[2]
    assert volume_mm3({0.0: [circle(radius_mm, (0.3, 0.2))]}) == pytest.approx(expected, rel=1e-3)


def test_annulus_is_the_difference_of_two_discs_whatever_the_direction_of_the_loops():
    expected = np.pi * (30.0**2 - 15.0**2) * 2.0
    outer, inner = circle(30.0), circle(15.0)
    assert volume_mm3({0.0: [outer, inner]}) == pytest.approx(expected, rel=1e-3)
    assert volume_mm3({0.0: [inner[::-1], outer]}) == pytest.approx(expected, rel=1e-3)


def test_keyhole_loop_equals_outer_and_inner_loop():
    outer, inner = circle(30.0, points=360), circle(15.0, points=360)[::-1]
    keyhole = np.vstack([outer, outer[:1], inner[:1], inner[1:], inner[:1]])
    by_loops = rasterise({0.0: [outer, inner]}, GRID).dense(GRID.shape)
    by_keyhole = rasterise({0.0: [keyhole]}, GRID).dense(GRID.shape)
    np.testing.assert_allclose(by_keyhole, by_loops, atol=1e-6)


def test_square_on_voxel_borders_is_whole_voxels_and_nothing_else():
    # voxel centres x = -50 + i, y = -40 + 1.5 j: borders at half spacings
    voxels = rasterise({0.0: [box(-10.5, 9.5, -40.75 + 15, -40.75 + 30)]}, GRID)
    assert voxels.index.size == 20 * 10
    np.testing.assert_array_equal(voxels.fraction, 1.0)
    assert set(voxels.index // (60 * 101)) == {5}


def test_square_through_voxel_centres_has_halves_and_quarters():
    dense = rasterise({0.0: [box(0.0, 2.0, -1.0, 2.0)]}, GRID).dense(GRID.shape)[5]
    # y = -1.0 is voxel 26's centre, y = 2.0 voxel 28's; x = 0 and 2 are centres of 50 and 52
    np.testing.assert_allclose(dense[26:29, 50:53], [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]], atol=1e-6)
    assert dense.sum() == pytest.approx(4.0)


def test_figure_of_eight_counts_both_lobes():
    crossing = np.array([[-10.0, -10.0], [10.0, 10.0], [10.0, -10.0], [-10.0, 10.0]])
    assert abs(shoelace_area_mm2(crossing)) == pytest.approx(0.0, abs=1e-9)
    assert even_odd_area_mm2([crossing]) > 100.0
    assert volume_mm3({0.0: [crossing]}) == pytest.approx(400.0, rel=5e-3)


def test_order_of_points_and_start_do_not_matter():
    loop = np.array([[0.0, 0.0], [13.0, 3.0], [9.0, 17.0], [-7.0, 11.0]])
    first = rasterise({0.0: [loop]}, GRID)
    other = rasterise({0.0: [np.roll(loop[::-1], 2, axis=0)]}, GRID)
    np.testing.assert_array_equal(first.index, other.index)
    np.testing.assert_allclose(first.fraction, other.fraction, atol=1e-6)


def test_mirror_image():
    grid = Grid((-20.0, -20.0, 0.0), (1.0, 1.0, 3.0), (1, 41, 41))
    loop = np.array([[0.1, 0.2], [13.0, 3.3], [9.0, 17.0], [-7.7, 11.0]])
    dense = rasterise({0.0: [loop]}, grid).dense(grid.shape)
    mirrored = rasterise({0.0: [loop * [-1, 1]]}, grid).dense(grid.shape)
    np.testing.assert_allclose(mirrored, dense[:, :, ::-1], atol=1e-6)


def test_planes_on_every_slice_fill_the_cylinder_from_half_a_slice_below_to_half_above():
    loops = {z: [circle(12.0)] for z in (-4.0, -2.0, 0.0, 2.0)}
    assert volume_mm3(loops) == pytest.approx(np.pi * 144 * 8.0, rel=1e-3)


def test_slab_between_slices_is_shared_by_its_overlap():
    dense = rasterise({0.5: [box(-10.5, 9.5, -10, 10)]}, GRID).dense(GRID.shape)
    total = dense.sum(axis=(1, 2))
    assert total[5] / total.sum() == pytest.approx(0.75) and total[6] / total.sum() == pytest.approx(0.25)


def test_overlapping_slabs_never_pass_one():
    loops = {0.0: [box(-10.5, 9.5, -10, 10)], 1.0: [box(-10.5, 9.5, -10, 10)]}
    voxels = rasterise(loops, GRID, slab_mm=4.0)
    assert voxels.fraction.max() == 1.0
    assert np.all(np.diff(voxels.index) > 0)


def test_what_lies_outside_the_grid_is_cut_off():
    assert volume_mm3({0.0: [box(-500, 500, -500, 500)]}) == pytest.approx(101 * 60 * 1.5 * 2.0)
    assert rasterise({0.0: [box(60, 70, -10, 10)]}, GRID).empty
    assert rasterise({0.0: [box(-10, 10, 60, 70)]}, GRID).empty
    assert rasterise({90.0: [box(-10, 10, -10, 10)]}, GRID).empty
    assert volume_mm3({0.0: [box(40, 500, -10, 10)]}) == pytest.approx(10.5 * 20 * 2, rel=2e-3)


def test_a_loop_that_is_none_is_refused():
    with pytest.raises(EngineError, match="three finite points"):
        rasterise({0.0: [np.zeros((2, 2))]}, GRID)
    with pytest.raises(EngineError, match="three finite points"):
        rasterise({0.0: [np.array([[0, 0], [1, 1], [np.nan, 0]])]}, GRID)
    with pytest.raises(EngineError, match="positive thickness"):
        rasterise({0.0: [circle(5.0)]}, GRID, slab_mm=0.0)


@settings(max_examples=60, deadline=None)
@given(
    radii=st.lists(st.floats(2.0, 35.0), min_size=3, max_size=40),
    centre=st.tuples(st.floats(-10.0, 10.0), st.floats(-3.0, 3.0)),
)
def test_star_shaped_polygons_have_their_shoelace_area(radii, centre):
    angle = np.linspace(0.0, 2 * np.pi, len(radii), endpoint=False)
    loop = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.array(radii)[:, None] + centre
    area = abs(shoelace_area_mm2(loop))
    perimeter = np.linalg.norm(loop - np.roll(loop, 1, axis=0), axis=1).sum()
    # a scanline's midpoint rule errs at vertices alone: far less than half a sub-row times the perimeter
    assert abs(volume_mm3({0.0: [loop]}) / 2.0 - area) < 0.5 * (1.5 / 16) * perimeter * 0.25 + 1e-3
    assert even_odd_area_mm2([loop]) == pytest.approx(area)


def test_a_body_outline_of_150_slices_takes_under_two_seconds():
    grid = Grid((-255.0, -255.0, 0.0), (1.0, 1.0, 3.0), (150, 512, 512))
    loops = {3.0 * k: [circle(200.0, points=500)] for k in range(150)}
    taken_s = []
    for _ in range(3):
        start = time.process_time()
        voxels = rasterise(loops, grid)
        taken_s.append(time.process_time() - start)
    assert min(taken_s) < 2.0
    assert voxels.volume_cc(grid.voxel_volume_cc) == pytest.approx(np.pi * 200**2 * 450 / 1000, rel=1e-3)
