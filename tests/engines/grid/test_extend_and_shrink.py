import numpy as np
import pytest

from engines.grid import Grid, VoxelSet, box_within, extended_grid, placed, shrunk, voxels_placed, voxels_taken

GRID = Grid((10.0, -20.0, 5.0), (2.0, 3.0, 4.0), (5, 6, 7))


def test_a_grid_grows_by_whole_voxels_until_it_encloses_the_box():
    """Outer borders along x: 9 and 23; along y: -21.5 and -3.5; along z: 3 and 23."""
    larger = extended_grid(GRID, (8.0, -21.5, 3.0), (23.0, -3.0, 31.0))
    assert larger == Grid((8.0, -20.0, 5.0), (2.0, 3.0, 4.0), (7, 7, 8))
    assert box_within(GRID, larger) == (slice(0, 5), slice(0, 6), slice(1, 8))


def test_no_end_moves_inwards():
    assert extended_grid(GRID, (14.0, -10.0, 10.0), (15.0, -9.0, 12.0)) == GRID


def test_values_stay_where_they_were():
    values = np.arange(GRID.size, dtype=np.int16).reshape(GRID.shape)
    larger = extended_grid(GRID, (0.0, -30.0, 0.0), (30.0, 0.0, 30.0))
    there = placed(values, GRID, larger, outside=-1)
    assert there.dtype == np.int16
    np.testing.assert_array_equal(there[box_within(GRID, larger)], values)
    assert (there == -1).sum() == larger.size - GRID.size
    index = np.ravel_multi_index(np.argwhere(there == 17)[0], larger.shape)
    np.testing.assert_allclose(larger.centres_mm(np.array([index])), GRID.centres_mm(np.array([17])))


def test_larger_voxels_hold_the_mean_and_lie_in_the_middle():
    values = np.arange(GRID.size, dtype=np.float32).reshape(GRID.shape)
    coarse, grid = shrunk(values, GRID, 6.0)
    assert grid.shape == (2, 3, 2)  # two of 4 mm, two of 3 mm, three of 2 mm
    assert grid.spacing_mm == (6.0, 6.0, 8.0)
    assert coarse[0, 0, 0] == pytest.approx(values[:2, :2, :3].mean())
    np.testing.assert_allclose(grid.origin_mm, (12.0, -18.5, 7.0))


def test_values_are_cut_before_they_are_averaged():
    values = np.zeros(GRID.shape, np.int16)
    values[0, 0, 0] = 3000
    coarse, _ = shrunk(values, GRID, 6.0, limits=(-1000.0, 1200.0))
    assert coarse[0, 0, 0] == pytest.approx(100.0)


def test_a_region_keeps_its_place_on_the_larger_grid_and_comes_back():
    dense = np.zeros(GRID.shape, np.float32)
    dense[1:3, 2:4, 5:7] = 0.5
    voxels = VoxelSet.from_dense(dense)
    larger = extended_grid(GRID, (0.0, -30.0, 0.0), (30.0, 0.0, 30.0))
    there = voxels_placed(voxels, GRID, larger)
    np.testing.assert_array_equal(there.dense(larger.shape), placed(dense, GRID, larger, outside=0))
    back = voxels_taken(there, larger, GRID)
    np.testing.assert_array_equal(back.index, voxels.index)
    np.testing.assert_array_equal(back.fraction, voxels.fraction)


def test_what_lies_beyond_the_smaller_grid_is_left_behind():
    larger = extended_grid(GRID, (0.0, -30.0, 0.0), (30.0, 0.0, 30.0))
    everything = VoxelSet.from_dense(np.ones(larger.shape, np.float32))
    assert voxels_taken(everything, larger, GRID).index.size == GRID.size
