"""Scales and intervals of a predicted dose, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engines.dose_interval import LEAST, NEAR, OF_DOSE, Ordered, half_width, voxel_scale
from engines.errors import EngineError

SPACING = (2.0, 3.0, 4.0)


def test_spread_difference_and_least_add_as_squares() -> None:
    dose, shape = np.full((3, 3, 3), 0.5, np.float32), (3, 3, 3)
    scale = voxel_scale(dose, np.full(shape, 0.03), np.full(shape, 0.04), SPACING)
    assert scale == pytest.approx(np.full(shape, np.sqrt(0.05**2 + LEAST**2)), rel=1e-5)


def test_without_a_spread_dose_and_gradient_stand_in() -> None:
    """A ramp of 0.01 a mm along z: 1.5 mm of it, and 3 % of the dose."""
    ramp = np.broadcast_to((0.02 * np.arange(8, dtype=np.float32))[:, None, None], (8, 4, 4))
    scale = voxel_scale(ramp, None, None, SPACING)
    expected = np.sqrt(LEAST**2 + (1.5 * 0.01) ** 2 + (OF_DOSE * 0.08) ** 2)
    assert scale[4] == pytest.approx(np.full((4, 4), expected), rel=1e-4)


def test_a_mirrored_dose_has_the_mirrored_scale() -> None:
    dose = np.random.default_rng(1).random((5, 6, 7)).astype(np.float32)
    mirrored = voxel_scale(dose[..., ::-1], None, None, SPACING)
    assert mirrored[..., ::-1] == pytest.approx(voxel_scale(dose, None, None, SPACING), rel=1e-5)


def test_factors_are_linear_between_centres_and_constant_beyond() -> None:
    centres, factors = np.log([0.01, 1.0]), np.array([2.0, 4.0])
    scale = np.array([0.001, 0.01, 0.1, 1.0, 10.0])
    assert half_width(scale, centres, factors) == pytest.approx([0.002, 0.02, 0.3, 4.0, 40.0])


def test_dose_at_a_volume_is_numpys_percentile() -> None:
    random = np.random.default_rng(2)
    dose = random.random(1234)
    ordered = Ordered(dose, np.ones(1234))
    shares = np.array([0.0, 0.01, 0.05, 0.5, 0.99, 1.0])
    assert ordered.dose_at(shares) == pytest.approx(np.percentile(dose, 100 * (1 - shares)))
    assert ordered.mean == pytest.approx(dose.mean())


def test_the_scale_of_a_volume_is_that_of_the_voxels_about_it() -> None:
    """Half-widths equal to the dose, doses 1000 to 1: the mean of 10 % of them, at the top of 5 %."""
    dose = np.arange(1000, 0, -1.0)
    ordered = Ordered(dose, dose)
    assert ordered.scale_at(np.array([0.5]))[0] == pytest.approx(500.5)
    assert ordered.scale_at(np.array([0.0]))[0] == pytest.approx(dose[: int(1000 * NEAR)].mean())
    assert ordered.mean_scale == pytest.approx(500.5)


def test_one_voxel_is_enough_and_none_is_not() -> None:
    one = Ordered(np.array([3.0]), np.array([0.5]))
    assert (one.dose_at(np.array([0.7]))[0], one.scale_at(np.array([0.7]))[0]) == (3.0, 0.5)
    with pytest.raises(EngineError):
        Ordered(np.zeros(0), np.zeros(0))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(EngineError):
        voxel_scale(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), None, SPACING)
    with pytest.raises(EngineError):
        half_width(np.ones(2), np.zeros(2), np.zeros(3))
