"""What coverage forces, and distances, on a handful of voxels."""

from __future__ import annotations

import numpy as np
import pytest

from engines.explain import Demand, fall_off, forced, least_metric, overlap_cc
from engines.grid import Grid, VoxelSet

VOXEL_CC = 0.5


def voxels(*index: int, fraction: float = 1.0) -> VoxelSet:
    return VoxelSet(np.array(index, np.int32), np.full(len(index), fraction, np.float32))


ORGAN = voxels(*range(20))  # 10 cc
TARGET = voxels(*range(12, 40))  # 14 cc, of which 8 voxels = 4 cc in the organ


def test_coverage_forces_the_overlap_less_what_it_lets_go():
    """95 % of 14 cc leave 0.7 cc to spare: 4 - 0.7 = 3.3 cc of the organ get 60 Gy."""
    levels = forced(ORGAN, [Demand(TARGET, 60.0, 0.05 * 14)], VOXEL_CC)
    assert levels == (pytest.approx((60.0, 3.3)),)
    assert least_metric("Mean", 0, levels, 10.0) == pytest.approx(60 * 0.33)
    assert least_metric("D%", 30, levels, 10.0) == 60.0
    assert least_metric("D%", 35, levels, 10.0) == 0.0
    assert least_metric("Dcc", 0.1, levels, 10.0) == 60.0
    assert least_metric("VGy", 50, levels, 10.0, unit="%") == pytest.approx(33.0)
    assert least_metric("VGy", 50, levels, 10.0, unit="cc") == pytest.approx(3.3)
    assert least_metric("VGy", 61, levels, 10.0, unit="cc") == 0.0
    assert least_metric("Max", 0, levels, 10.0) == 60.0
    assert least_metric("Min", 0, levels, 10.0) is None


def test_a_voxel_in_two_targets_counts_once_with_the_higher_level():
    inner, outer = voxels(*range(16, 24)), TARGET
    levels = forced(ORGAN, [Demand(outer, 54.0, 0.0), Demand(inner, 70.0, 0.0)], VOXEL_CC)
    assert levels == (pytest.approx((70.0, 2.0)), pytest.approx((54.0, 2.0)))


def test_nothing_is_forced_where_all_of_the_overlap_may_be_spared():
    assert forced(ORGAN, [Demand(TARGET, 60.0, 4.0)], VOXEL_CC) == ()
    assert least_metric("Mean", 0, (), 10.0) == 0.0


def test_cut_voxels_force_only_what_must_be_in_both():
    half = voxels(0, fraction=0.5)
    most = voxels(0, fraction=0.75)
    assert forced(half, [Demand(most, 10.0, 0.0)], 1.0) == (pytest.approx((10.0, 0.25)),)
    assert overlap_cc(half, most, 1.0) == pytest.approx(0.5)
    assert overlap_cc(half, voxels(7), 1.0) == 0.0


def test_distance_and_fall_off_along_a_line():
    """Ten voxels of 2 mm in a row: target the first two, organ voxels 6 to 9; dose falls by 5 Gy a voxel."""
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (1, 1, 10))
    dose = 50.0 - 5.0 * np.arange(10, dtype=np.float32).reshape(1, 1, 10)
    found = fall_off(voxels(6, 7, 8, 9), voxels(0, 1), voxels(*range(10)), dose, grid, exempt=0.5)
    assert found is not None
    assert found.nearest_mm == 10.0, "from voxel 1 to voxel 6"
    assert found.at_mm == 12.0, "half of the organ may be nearer"
    assert found.middle_gy == pytest.approx(15.0), "voxels 6, 7 and 8 lie within 2 mm of that distance"
    assert found.steep_gy == pytest.approx(np.percentile([20.0, 15.0, 10.0], 10))


def test_without_a_target_there_is_no_distance():
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (1, 1, 10))
    empty = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))
    assert fall_off(voxels(6), empty, voxels(6), np.zeros((1, 1, 10)), grid, exempt=0.0) is None
