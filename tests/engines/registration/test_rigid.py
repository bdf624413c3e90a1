"""Rigid registration with known truth: a built-in phantom turned and shifted."""

import numpy as np
import pytest

from appliance.builtin import write_study
from appliance.case import read_image
from engines.errors import EngineError
from engines.grid import Grid
from engines.registration import RigidTransform, agreement, moved, register_rigid


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """(hu float32, grid) of the head-and-neck phantom, every other pixel."""
    study = write_study("head-neck", tmp_path_factory.mktemp("hn") / "s", day="reference", uid_seed="t")
    image = read_image([item.path for item in study.images]).image
    dx, dy, dz = image.grid.spacing_mm
    hu = image.hu[:, ::2, ::2].astype(np.float32)
    return hu, Grid(image.grid.origin_mm, (2 * dx, 2 * dy, dz), hu.shape)


def corners(grid: Grid) -> np.ndarray:
    axes = grid.axes_mm()
    return np.array([[x, y, z] for x in axes[0][[10, -10]] for y in axes[1][[10, -10]] for z in axes[2][[20, -20]]])


@pytest.mark.parametrize(
    ("shift_mm", "rotation_deg"),
    [((7.0, -4.0, 11.0), (0.0, 0.0, 0.0)), ((-12.0, 6.0, -5.0), (3.0, -2.0, 5.0)), ((2.0, 0.0, 0.0), (-6.0, 4.0, 0.0))],
)
def test_a_known_motion_is_found_within_a_millimetre(phantom, shift_mm, rotation_deg):
    hu, grid = phantom
    truth = RigidTransform.of(shift_mm, rotation_deg, (0.0, 0.0, 10.0))
    # the earlier image: another frame, in which everything lies where `truth` takes it
    prior_grid = Grid(tuple(a - 20 for a in grid.origin_mm), grid.spacing_mm, tuple(n + 16 for n in grid.shape))
    prior = moved(hu, grid, prior_grid, truth.inverse, outside=-1000.0)
    found = register_rigid(hu, grid, prior, prior_grid)
    assert found.error_mm(truth, corners(grid)) < 1.0
    back = moved(prior, prior_grid, grid, found, outside=np.nan)
    fit = agreement(hu, back, hu > -500, back > -500, grid)
    assert fit.overlap > 0.98
    assert fit.surface_mm < 1.0
    assert fit.similarity > 0.95


def test_moving_and_moving_back_by_hand():
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 2.0), (3, 4, 5))
    values = np.zeros(grid.shape, np.float32)
    values[1, 2, 3] = 8.0
    shifted = moved(values, grid, grid, RigidTransform.of((1.0, 0.0, 0.0)), outside=-1.0)
    assert shifted[1, 2, 2] == 8.0  # the target's point (2, 2, 2) is the source's (3, 2, 2)
    assert np.all(shifted[:, :, 4] == -1.0)
    turned = moved(values, grid, grid, RigidTransform.of(rotation_deg=(0.0, 0.0, 90.0)), outside=0.0)
    assert turned.max() == 0.0  # (x, y) goes to (-y, x): out of the grid


def test_a_transform_undoes_its_inverse_and_measures_itself():
    motion = RigidTransform.of((3.0, -4.0, 0.0), (0.0, 0.0, 30.0), (5.0, 5.0, 5.0))
    points = np.array([[1.0, 2.0, 3.0], [-50.0, 20.0, 7.0]])
    assert motion.inverse.apply(motion.apply(points)) == pytest.approx(points)
    assert motion.rotation_deg == pytest.approx(30)
    assert motion.motion_mm((5.0, 5.0, 5.0)) == pytest.approx(5)


@pytest.mark.parametrize(
    "matrix", [np.diag([-1.0, 1, 1, 1]), np.diag([1.1, 1, 1, 1]), np.eye(3), np.full((4, 4), np.nan)]
)
def test_mirrors_and_scalings_are_no_rigid_motion(matrix):
    with pytest.raises(EngineError):
        RigidTransform(matrix)


def test_images_without_a_body_are_refused():
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (16, 16, 16))
    air = np.full(grid.shape, -1000.0)
    with pytest.raises(EngineError, match="no body"):
        register_rigid(air, grid, air, grid)
