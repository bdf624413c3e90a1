import numpy as np
import pytest

from engines.errors import EngineError
from engines.grid import Grid
from engines.registration import DisplacementField, RigidTransform, found_in_fixed, moved
from engines.registration.blocks import match
from engines.registration.orientation import LEFT_RIGHT, orientations

GRID = Grid((-75.0, -75.0, -75.0), (5.0, 5.0, 5.0), (31, 31, 31))


def lumps(seed=2):
    """A ball of muscle full of lumps of fat and bone, in air."""
    x, y, z = (axis.reshape(shape) for axis, shape in zip(GRID.axes_mm(), ((-1,), (-1, 1), (-1, 1, 1)), strict=True))
    inside = x**2 + y**2 + z**2 < 68**2
    hu = np.where(inside, 50.0, -1000.0)
    rng = np.random.default_rng(seed)
    for centre in rng.uniform(-55, 55, (60, 3)):
        near = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < rng.uniform(6, 12) ** 2
        hu[near & inside] = rng.choice((-100.0, 300.0, 700.0))
    return hu.astype(np.float32)


def test_an_image_is_like_itself():
    hu = lumps()
    found = match((hu, GRID), (hu, GRID), RigidTransform.of(), reach=2, rounds=1)
    assert found.likeness == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(found.to_moving.matrix, np.eye(4), atol=1e-6)


def test_brightness_and_contrast_make_no_difference():
    hu = lumps()
    found = match(((hu + 1000) * 0.6 - 900, GRID), (hu, GRID), RigidTransform.of(), reach=2, rounds=1)
    assert found.likeness == pytest.approx(1.0, abs=1e-3)


def test_a_motion_is_found_to_a_voxel():
    hu = lumps()
    truth = RigidTransform.of((9.0, -7.0, 6.0), (3.0, -2.0, 4.0))
    today = moved(hu, GRID, GRID, truth, outside=-1000.0)
    found = match((today, GRID), (hu, GRID), RigidTransform.of(), reach=2, rounds=3)
    points = np.array([[0.0, 0, 0], [40, 0, 0], [0, 40, 0], [0, 0, 40]])
    assert found.to_moving.error_mm(truth, points) < 5.0
    assert found.likeness > 0.9


@pytest.mark.parametrize("axes, name", [((2,), LEFT_RIGHT), ((0,), "head and feet swapped")])
def test_a_mirrored_image_is_likelier_mirrored_back(axes, name):
    hu = lumps()
    found = orientations(np.ascontiguousarray(np.flip(hu, axes)), GRID, hu, GRID)
    assert found.swapped[name] == pytest.approx(1.0, abs=1e-3)
    assert found.as_it_is.likeness < 0.9


def test_another_anatomy_is_unlike_any_way_round():
    found = orientations(lumps(3), GRID, lumps(2), GRID)
    assert max(found.as_it_is.likeness, *found.swapped.values()) < 0.85


def test_a_start_along_the_patient_is_found():
    """The upper half of the body on a grid of its own, whose middle is 40 mm higher."""
    hu = lumps()
    upper = GRID.cropped((10, 0, 0), GRID.shape)
    found = orientations(hu[10:], upper, hu, GRID)
    assert found.as_it_is.likeness > 0.98


def test_too_little_in_common_cannot_be_compared():
    hu = lumps()
    with pytest.raises(EngineError):
        match((hu, GRID), (hu, GRID), RigidTransform.of((150.0, 0.0, 0.0)), reach=2, rounds=0)
    with pytest.raises(EngineError):
        orientations(np.full(GRID.shape, -1000, np.int16), GRID, hu, GRID)
    small = Grid((0.0, 0.0, 0.0), (5.0, 5.0, 5.0), (6, 6, 6))
    with pytest.raises(EngineError):
        match((hu[:6, :6, :6], small), (hu, GRID), RigidTransform.of(), reach=2, rounds=0)


def test_points_are_found_again_in_the_fixed_image():
    x, y, _ = GRID.axes_mm()
    field = np.zeros((*GRID.shape, 3), np.float32)
    field[..., 0] = 8 * np.sin(y / 30)[None, :, None]
    field[..., 2] = 5 + 3 * np.cos(x / 25)[None, None, :]
    bent = DisplacementField(GRID, field)
    points = np.random.default_rng(1).uniform(-50, 50, (200, 3))
    np.testing.assert_allclose(bent.apply(found_in_fixed(bent, points)), points, atol=0.1)
