"""Voxels drawn as loops and filled again are the voxels: discs, holes, islands, thin parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engines.contouring import trace
from engines.grid import Grid, VoxelSet, rasterise
from engines.overlap import dice

GRID = Grid((-30.0, -24.5, 6.0), (1.2, 1.0, 3.0), (4, 60, 50))
TURN = np.linspace(0, 2 * np.pi, 181)[:-1]


def circle(x, y, radius):
    return np.column_stack([x + radius * np.cos(TURN), y + radius * np.sin(TURN)])


def filled(loops_by_slice, grid=GRID):
    z_mm = grid.axes_mm()[2]
    return rasterise({float(z_mm[index]): loops for index, loops in loops_by_slice.items()}, grid)


def box(x0, x1, y0, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


@pytest.mark.parametrize(("radius", "least"), [(8.0, 0.985), (12.7, 0.99), (20.0, 0.995)])
def test_an_annulus_comes_back(radius, least):
    drawn = [circle(0.3, 2.2, radius), circle(1.0, 2.0, radius / 2)]
    voxels = filled({1: drawn, 2: drawn})
    found = trace(voxels, GRID)
    assert sorted(found.loops) == [1, 2] and [len(loops) for loops in found.loops.values()] == [2, 2]
    assert (found.left_out, found.left_out_mm2) == (0, 0.0)
    again = filled(found.loops)
    assert dice(voxels.dense(GRID.shape), again.dense(GRID.shape)) > least
    outer = max(found.loops[1], key=len)
    off_mm = np.abs(np.hypot(outer[:, 0] - 0.3, outer[:, 1] - 2.2) - radius)
    assert off_mm.max() < 0.2  # a fifth of a pixel


def test_an_edge_along_the_grid_lies_within_a_tenth_of_a_pixel():
    for part in np.linspace(0.0, 0.95, 20):
        found = trace(filled({0: [box(-12.0, 12.0 + 1.2 * part, -10.0, 10.0)]}), GRID)
        (loop,) = found.loops[0]
        assert loop[:, 0].max() == pytest.approx(12.0 + 1.2 * part, abs=0.11)


def test_one_voxel_comes_back_as_itself():
    share = np.zeros(GRID.shape, np.float32)
    share[1, 10, 20], share[2, 30, 5] = 1.0, 0.4
    found = trace(VoxelSet.from_dense(share), GRID)
    np.testing.assert_allclose(filled(found.loops).dense(GRID.shape), share, atol=0.01)


def test_what_is_too_small_is_counted():
    share = np.zeros(GRID.shape, np.float32)
    share[1, 10, 20], share[1, 40, 40], share[2, 3, 3] = 1.0, 0.2, 0.1
    found = trace(VoxelSet.from_dense(share), GRID)
    assert found.left_out == 2 and found.left_out_mm2 == pytest.approx(0.3 * 1.2)
    assert sorted(found.loops) == [1]


@pytest.mark.parametrize("width", [0.3, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("turned", [False, True])
def test_a_strip_in_a_row_of_pixels_keeps_its_width(width, turned):
    strip = box(-18.0, 17.0, 2.5 - width / 2, 2.5 + width / 2)  # row 27 has its middle at 2.5 mm
    if turned:
        strip = strip[:, ::-1] * (1.2, 1.0) + (-30.0 + 1.2 * 20 - 3.0, 0.0)  # column 20
    voxels = filled({0: [strip]})
    area = filled(trace(voxels, GRID).loops).fraction.sum()
    assert area == pytest.approx(voxels.fraction.sum(), rel=0.06)


@pytest.mark.parametrize("width", [1.0, 1.4, 1.8])
def test_a_strip_across_two_rows_keeps_its_width(width):
    voxels = filled({0: [box(-18.0, 17.0, 3.0 - width / 2, 3.0 + width / 2)]})
    area = filled(trace(voxels, GRID).loops).fraction.sum()
    assert area == pytest.approx(voxels.fraction.sum(), rel=0.06)


def test_a_thin_strip_across_two_rows_is_a_pixel_wide_and_not_lost():
    voxels = filled({0: [box(-18.0, 17.0, 2.9, 3.1)]})
    area = filled(trace(voxels, GRID).loops).fraction.sum() * 1.2
    assert area == pytest.approx(35.0, rel=0.06)


@pytest.mark.parametrize("blur", [1, 2, 3])
def test_the_slope_of_a_blurred_edge_is_no_strip(blur):
    """A disc after a box blur: its outline stays one loop of the same radius."""
    sharp = filled({1: [circle(0.0, 2.0, 14.0)]}).dense(GRID.shape)
    for axis in (1, 2):
        sharp = sum(np.roll(sharp, step, axis) for step in range(-blur, blur + 1)) / (2 * blur + 1)
    (loop,) = trace(VoxelSet.from_dense(sharp), GRID).loops[1]
    assert np.hypot(loop[:, 0], loop[:, 1] - 2.0).mean() == pytest.approx(14.0, abs=0.25)


@settings(deadline=None, max_examples=40)
@given(arrays(np.float32, (1, 9, 9), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 1.0])))
def test_nothing_goes_unsaid(shares):
    """Where a pixel is more than half inside, something is drawn next to it or counted as left out."""
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 3.0), shares.shape)
    found = trace(VoxelSet.from_dense(shares), grid)
    drawn = filled(found.loops, grid).dense(grid.shape)[0] if found.loops else np.zeros((9, 9))
    near = np.pad(drawn > 0, 1)
    near = np.any([near[i : i + 9, j : j + 9] for i in range(3) for j in range(3)], axis=0)
    assert found.left_out > 0 or not (shares[0][~near] > 0.5).any()
