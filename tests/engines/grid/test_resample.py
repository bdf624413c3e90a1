import numpy as np
import pytest

from engines.errors import EngineError
from engines.grid import Grid, resample

SOURCE = Grid((-20.0, 5.0, -30.0), (3.0, 2.5, 4.0), (12, 16, 14))


def linear(grid):
    x, y, z = grid.axes_mm()
    return 7.0 + 0.3 * x[None, None, :] - 0.2 * y[None, :, None] + 0.11 * z[:, None, None]


def test_a_linear_field_is_reproduced_exactly_inside():
    target = Grid((-19.0, 6.1, -29.0), (1.0, 1.3, 1.7), (20, 25, 30))
    np.testing.assert_allclose(resample(linear(SOURCE), SOURCE, target), linear(target), atol=2e-5)


def test_the_same_grid_gives_the_same_values():
    values = np.random.default_rng(1).random(SOURCE.shape, np.float32)
    np.testing.assert_array_equal(resample(values, SOURCE, SOURCE), values)


def test_against_the_eight_corners_by_hand():
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 2))
    values = np.arange(8.0).reshape(2, 2, 2) ** 2
    point = Grid((0.25, 0.5, 0.75), (1.0, 1.0, 1.0), (1, 1, 1))
    x, y, z = 0.25, 0.5, 0.75
    expected = sum(
        values[k, j, i] * (z if k else 1 - z) * (y if j else 1 - y) * (x if i else 1 - x)
        for k in (0, 1)
        for j in (0, 1)
        for i in (0, 1)
    )
    assert resample(values, grid, point)[0, 0, 0] == pytest.approx(expected)


def test_border_voxels_hold_for_their_outer_half_and_end_there():
    line = Grid((0.0, 0.0, 0.0), (2.0, 1.0, 1.0), (1, 1, 3))
    fine = Grid((-1.5, 0.0, 0.0), (0.5, 1.0, 1.0), (1, 1, 15))
    got = resample(np.array([[[10.0, 20.0, 30.0]]]), line, fine, outside=-1.0)[0, 0]
    x = fine.axes_mm()[0]
    np.testing.assert_allclose(got, np.where((x < -1) | (x > 5), -1.0, np.interp(x, [0, 2, 4], [10, 20, 30])))


def test_grids_that_do_not_meet_give_the_outside_value():
    far = Grid((500.0, 5.0, -30.0), (3.0, 2.5, 4.0), (3, 4, 5))
    np.testing.assert_array_equal(resample(np.ones(SOURCE.shape), SOURCE, far, outside=2.0), 2.0)


def test_unsigned_values_do_not_wrap():
    values = np.zeros((1, 1, 2), np.uint16)
    values[..., 0] = 60000
    line = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 2))
    middle = Grid((0.5, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 1))
    assert resample(values, line, middle)[0, 0, 0] == 30000.0


def test_values_of_another_shape_are_refused():
    with pytest.raises(EngineError, match="not on a grid"):
        resample(np.zeros((2, 2, 2)), SOURCE, SOURCE)
