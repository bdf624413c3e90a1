"""The compiled reading of images, against SciPy's and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from engines.errors import EngineError
from engines.grid import Grid, shrunk, warped

SOURCE = Grid((-100.0, -80.0, -50.0), (3.0, 2.5, 2.0), (20, 30, 35))
TARGET = Grid((-110.0, -85.0, -55.0), (2.7, 2.9, 2.3), (25, 28, 40))
FIELD = Grid((-80.0, -60.0, -40.0), (10.0, 11.0, 9.0), (4, 5, 6))
STILL = np.eye(4)
RNG = np.random.default_rng(3)


def turned() -> NDArray[np.float64]:
    matrix, angle = np.eye(4), 0.1
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = (3.0, -2.0, 5.0)
    return matrix


def by_scipy(values: NDArray[np.float32], points_mm: NDArray[np.float64], outside: float) -> NDArray[np.float32]:
    index = (points_mm - np.asarray(SOURCE.origin_mm)) / np.asarray(SOURCE.spacing_mm)
    inside = np.all((index >= -0.5) & (index <= np.asarray(SOURCE.shape[::-1]) - 0.5), axis=-1)
    found = map_coordinates(values, np.moveaxis(index, -1, 0)[::-1], order=1, mode="nearest", output=np.float32)
    return np.where(inside, found, np.float32(outside))


def centres(grid: Grid) -> NDArray[np.float64]:
    return grid.centres_mm(np.arange(grid.size)).astype(np.float64).reshape(*grid.shape, 3)


def agree(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """But for points that rounding puts on either side of the border."""
    return bool((np.abs(one - other) > 1e-3).mean() < 1e-3)


@pytest.mark.parametrize("kind", [np.float32, np.int16, np.bool_, np.float64])
def test_a_turned_image_reads_as_scipy_reads_it(kind: type[np.generic]) -> None:
    values = (20 * RNG.normal(size=SOURCE.shape)).astype(kind)
    points = centres(TARGET) @ turned()[:3, :3].T + turned()[:3, 3]
    want = by_scipy(values.astype(np.float32), points, -7.0)
    assert 0.2 < (want == -7).mean() < 0.8
    assert agree(warped(values, SOURCE, TARGET, turned(), outside=-7.0), want)


def test_a_displaced_image_reads_as_scipy_reads_it() -> None:
    values = RNG.normal(size=SOURCE.shape).astype(np.float32)
    moves = (5 * RNG.normal(size=(*FIELD.shape, 3))).astype(np.float32)
    index = (centres(TARGET) - np.asarray(FIELD.origin_mm)) / np.asarray(FIELD.spacing_mm)
    where = np.moveaxis(index, -1, 0)[::-1]
    along = [map_coordinates(moves[..., axis], where, order=1, mode="nearest") for axis in range(3)]
    want = by_scipy(values, centres(TARGET) + np.stack(along, axis=-1), np.nan)
    got = warped(values, SOURCE, TARGET, STILL, outside=np.nan, displaced=(moves, FIELD))
    assert (np.isnan(got) == np.isnan(want)).mean() > 0.999
    assert agree(np.nan_to_num(got), np.nan_to_num(want))


def test_the_outer_half_of_a_border_voxel_holds_its_value_and_beyond_it_nothing() -> None:
    line = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 2))
    asked = Grid((-0.75, 0.0, 0.0), (0.5, 1.0, 1.0), (1, 1, 6))  # at -0.75, -0.25, 0.25, 0.75, 1.25, 1.75
    got = warped(np.array([[[10.0, 20.0]]]), line, asked, STILL, outside=-1.0)
    assert got[0, 0].tolist() == pytest.approx([-1.0, 10.0, 12.5, 17.5, 20.0, -1.0])


def test_means_of_blocks_leave_out_what_is_left_over_and_keep_what_is_no_number() -> None:
    values = np.arange(2 * 2 * 5, dtype=np.int16).reshape(2, 2, 5)
    means, grid = shrunk(values, Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 5)), 2.0)
    assert means.tolist() == [[[8.0, 10.0]]]  # (0+1+5+6+10+11+15+16)/8, the fifth column left out
    assert grid.origin_mm == (0.5, 0.5, 0.5)
    cut, _ = shrunk(values, Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 5)), 2.0, limits=(5.0, 10.0))
    assert cut[0, 0, 0] == pytest.approx((5 + 5 + 5 + 6 + 10 + 10 + 10 + 10) / 8)
    holed = values.astype(np.float32)
    holed[0, 0, 0] = np.nan
    assert np.isnan(shrunk(holed, grid_of(holed), 2.0)[0]).tolist() == [[[True, False]]]


def grid_of(values: NDArray[np.float32]) -> Grid:
    return Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (values.shape[0], values.shape[1], values.shape[2]))


def test_values_and_displacements_off_their_grids_are_refused() -> None:
    with pytest.raises(EngineError, match="are not on a grid"):
        warped(np.zeros((2, 2, 2)), SOURCE, TARGET, STILL, outside=0.0)
    with pytest.raises(EngineError, match="a field of"):
        moves = np.zeros((2, 2, 2, 3), np.float32)
        warped(np.zeros(SOURCE.shape), SOURCE, TARGET, STILL, outside=0.0, displaced=(moves, FIELD))
