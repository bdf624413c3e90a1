"""Images of the day with known truth: the maps are one-to-one and do what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.builtin.daily import (
    AIR_HU,
    Anatomy,
    ConeBeam,
    cone_beam,
    flipped_head_feet,
    flipped_left_right,
    today_of,
    with_noise,
    with_pocket,
)
from appliance.builtin.daily_motion import Bumps, Flexion, Motion, SetUp, Shrinkage, WeightLoss, strength_leaving
from appliance.builtin.deformation import Bump, Deformation
from engines.grid import Grid
from engines.registration import RigidTransform

GRID = Grid((-58.0, -58.0, -58.0), (4.0, 4.0, 4.0), (30, 30, 30))
SLIM = WeightLoss((0.0, 0.0), 40.0, 0.1, z_mm=0.0)
NOD = Flexion((10.0, -20.0), 7.0)
DRAWN = Shrinkage((5.0, -5.0, 0.0), (20.0, 15.0, 25.0), strength_leaving(0.7))
PUSHED = Bumps(Deformation((1.0, 2.0, -3.0), (Bump((10.0, 0.0, 5.0), (6.0, -6.0, 3.0), 25.0),)))
TURNED = SetUp(RigidTransform.of((5.0, -4.0, 8.0), (2.0, -1.0, 3.0)))


def radius_mm(centre=(0.0, 0.0, 0.0), grid=GRID) -> np.ndarray:
    x, y, z = grid.axes_mm()
    return np.sqrt(
        (x[None, None, :] - centre[0]) ** 2 + (y[None, :, None] - centre[1]) ** 2 + (z[:, None, None] - centre[2]) ** 2
    )


def cylinder(radius: float = 40.0) -> Anatomy:
    x, y, _ = GRID.axes_mm()
    inside = np.broadcast_to(np.hypot(x[None, :], y[:, None]) < radius, GRID.shape).copy()
    return Anatomy(GRID, np.where(inside, 40.0, AIR_HU).astype(np.float32), {"External": inside})


@pytest.mark.parametrize("step", [SLIM, NOD, DRAWN, PUSHED, TURNED], ids=lambda step: type(step).__name__)
def test_every_step_is_one_to_one(step):
    points = np.random.default_rng(2).uniform(-150, 150, (4000, 3))
    assert Motion((step,)).jacobian(points).min() > 0.3


def test_all_steps_together_are_one_to_one():
    points = np.random.default_rng(3).uniform(-150, 150, (4000, 3))
    assert Motion((TURNED, PUSHED, SLIM, DRAWN, NOD)).jacobian(points).min() > 0.3


def test_no_steps_are_the_identity_and_the_field_is_that_of_the_points():
    points = np.random.default_rng(4).uniform(-50, 50, (2, 5, 3))
    assert np.array_equal(Motion().apply(points), points)
    motion = Motion((TURNED, PUSHED))
    x, y, z = (axis[k] for axis, k in zip(GRID.axes_mm(), (3, 7, 11), strict=True))
    expected = motion.apply(np.array([[x, y, z]]))[0] - (x, y, z)
    assert motion.field_mm(GRID)[11, 7, 3] == pytest.approx(expected, abs=1e-4)


def test_ten_percent_of_a_section_are_lost_below_and_nothing_far_above():
    """1 - 1 / (1 + s g)^2 = 0.1 with g = 1 - 1/e at the outline."""
    strength = (1 / np.sqrt(0.9) - 1) / (1 - np.exp(-1))
    slim = WeightLoss((0.0, 0.0), 40.0, strength, z_mm=-20.0, fade_mm=30.0)
    outline_today = 40.0 * np.sqrt(0.9)
    # g is read at today's outline, where it is a little less than 1 - 1/e
    assert slim(np.array([[outline_today, 0.0, -30.0]]))[0, 0] == pytest.approx(40.0, abs=0.15)
    assert slim(np.array([[outline_today, 0.0, 20.0]]))[0, 0] == pytest.approx(outline_today)


def test_an_ellipsoid_keeps_seven_tenths_of_its_volume():
    """Its surface today, 0.7^(1/3) of each half axis from the centre, was the reference's."""
    for axis, half_mm in enumerate((20.0, 15.0, 25.0)):
        along = np.zeros(3)
        along[axis] = half_mm
        centre = np.array((5.0, -5.0, 0.0))
        assert DRAWN((centre + 0.7 ** (1 / 3) * along)[None])[0] == pytest.approx(centre + along, abs=1e-9)


def test_a_nod_leaves_what_lies_below_and_turns_what_lies_above():
    below, above = NOD(np.array([[3.0, 4.0, -30.0], [3.0, 10.0, 80.0]]))
    assert below == pytest.approx((3.0, 4.0, -30.0))
    angle = np.radians(7.0)
    assert above == pytest.approx((3.0, 10.0 - 100 * np.sin(angle), -20.0 + 100 * np.cos(angle)))


def test_what_is_seen_today_lies_where_the_motion_says():
    ball = radius_mm((8.0, 0.0, 4.0)) < 16.0
    anatomy = Anatomy(GRID, np.where(ball, 100.0, 0.0).astype(np.float32), {"External": ball | True, "Ball": ball})
    today = today_of(anatomy, Motion((SetUp(RigidTransform.of((8.0, -4.0, 12.0))),)), GRID)
    centre = np.argwhere(today.masks["Ball"]).mean(axis=0)[::-1] * 4.0 - 58.0
    assert centre == pytest.approx((0.0, 4.0, -8.0), abs=0.3)
    assert today.hu[today.masks["Ball"]].mean() == pytest.approx(100, abs=5)


def test_beyond_the_reference_there_is_air():
    today = today_of(cylinder(), Motion((SetUp(RigidTransform.of((0.0, 0.0, 60.0))),)), GRID)
    assert not today.masks["External"][-10:].any()
    assert np.all(today.hu[-10:] == AIR_HU)
    assert today.masks["External"][:10].any()


def test_noise_has_its_spread_and_a_seed_names_it():
    hu = np.zeros(GRID.shape, np.float32)
    assert with_noise(hu, 25.0, 1).std() == pytest.approx(25.0, rel=1e-3)
    assert np.array_equal(with_noise(hu, 25.0, 1), with_noise(hu, 25.0, 1))
    assert not np.array_equal(with_noise(hu, 25.0, 1), with_noise(hu, 25.0, 2))


def test_a_pocket_is_gas_inside_and_nothing_outside():
    body = cylinder()
    changed = with_pocket(body.hu, GRID, (0.0, 0.0, 0.0), 15.0, -900.0) - body.hu
    assert changed[radius_mm() < 13].max() == pytest.approx(-940)
    assert np.all(changed[radius_mm() > 17] == 0)


def test_a_cone_beam_image_is_darker_in_the_middle_and_ends_with_its_field_of_view():
    body = cylinder(48.0)
    plain = ConeBeam(shading_hu=0, streaks_hu=0, scale=1.0, offset_hu=0, noise_hu=1.0)
    image = cone_beam(body, plain, 1)
    middle, skin = image[15, 15, 15], image[15, 15, 15 + 11]
    assert skin - middle == pytest.approx(80 * (44 / np.hypot(58, 58)) ** 2, abs=6)
    cut = cone_beam(body, ConeBeam(field_mm=30.0), 1)
    x, y, _ = GRID.axes_mm()
    beyond = np.hypot(x[None, :], y[:, None]) > 30
    assert np.isnan(cut[:, beyond]).all()
    assert np.isfinite(cut[:, ~beyond]).all()


def test_flips_reverse_one_axis_each():
    hu = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    assert flipped_left_right(hu)[0, 0].tolist() == [1, 0]
    assert flipped_head_feet(hu)[:, 0, 0].tolist() == [4, 0]
