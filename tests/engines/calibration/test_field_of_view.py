"""The circle that an image was reconstructed in, and air that is none of it."""

import numpy as np
import pytest

from engines.calibration import circle_seen, filling_of
from engines.grid import Grid

GRID = Grid((-78.0, -58.0, -38.0), (4.0, 4.0, 4.0), (20, 30, 40))
AIR = -1000.0


def disc(radius_mm, centre_mm=(0.0, 0.0)):
    """(y, x) about the middle of the frame, or off it."""
    x, y, _ = GRID.axes_mm()
    return np.hypot(x[None, :] - x.mean() - centre_mm[0], y[:, None] - y.mean() - centre_mm[1]) < radius_mm


def body(inside, noise=0.0):
    hu = np.where(np.broadcast_to(inside, GRID.shape), 30.0, AIR)
    return hu + np.random.default_rng(1).standard_normal(GRID.shape) * noise


OVAL = disc(36.0, (-12.0, 0.0)) | disc(36.0, (12.0, 0.0))


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_a_circle_is_found_by_what_lies_beyond_it(noise):
    """Also without noise, where the air within has another value than what lies beyond."""
    image = np.where(disc(55.0), body(OVAL, noise), -1024.0)
    np.testing.assert_array_equal(circle_seen(image, GRID), disc(55.0))
    assert filling_of(image, GRID) == -1024.0


def test_what_lies_beyond_a_circle_need_not_be_the_lowest():
    image = np.where(disc(55.0), body(OVAL, 5.0), 0.0)
    np.testing.assert_array_equal(circle_seen(image, GRID), disc(55.0))
    assert filling_of(image, GRID) == 0.0


def test_a_circle_half_a_pixel_off_the_middle_is_one():
    image = np.where(disc(50.0, (2.0, 2.0)), body(OVAL, 5.0), -1024.0)
    found = circle_seen(image, GRID)
    assert found is not None
    assert not (disc(50.0, (2.0, 2.0)) & ~found).any()


@pytest.mark.parametrize(
    "shape",
    [OVAL, disc(40.0, (6.0, 0.0)), disc(40.0, (0.0, -8.0)), np.pad(np.ones((28, 38), np.bool_), 1)],
    ids=["oval", "round, beside the middle", "round, above the middle", "a slab that nearly fills the frame"],
)
def test_air_without_noise_round_a_body_is_no_circle(shape):
    assert circle_seen(body(shape), GRID) is None


def test_a_round_body_that_tapers_in_air_without_noise_is_no_circle():
    tapering = np.stack([disc(36.0 + plane) for plane in range(GRID.shape[0])])
    assert circle_seen(body(tapering), GRID) is None


def test_an_image_that_fills_its_frame_has_no_circle_and_no_filling():
    for image in (body(OVAL, 5.0), np.zeros(GRID.shape)):
        assert circle_seen(image, GRID) is None
        assert filling_of(image, GRID) is None


def test_air_without_noise_is_no_filling():
    assert filling_of(body(OVAL), GRID) is None
    assert filling_of(body(disc(40.0, (6.0, 0.0))), GRID) is None


def test_an_image_laid_into_a_larger_frame_is_filled_up():
    image = body(OVAL, 5.0)
    image[:, :6], image[:, :, 34:] = -3000.0, -3000.0
    assert filling_of(image, GRID) == -3000.0
