import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.calibration import (
    Calibration,
    body_of,
    deformed_with_today,
    filling_of,
    flattened,
    matched,
    rough,
    soft_peak,
)
from engines.calibration.peaks import two_groups
from engines.errors import EngineError
from engines.grid import Grid

GRID = Grid((-78.0, -58.0, -38.0), (4.0, 4.0, 4.0), (20, 30, 40))


def distance(grid=GRID):
    x, y, _ = grid.axes_mm()
    plane = np.hypot(x[None, :] / 1.3, y[:, None])
    return np.broadcast_to(plane, grid.shape)


def phantom():
    """Fat round muscle round bone, in air, and an air pocket; without noise."""
    away = distance()
    hu = np.full(GRID.shape, -1000.0, np.float32)
    hu[away < 46] = -100
    hu[away < 36] = 50
    hu[away < 8] = 700
    hu[5:9, 8:12, 16:22] = -950
    return hu


def test_a_curve_goes_through_its_points_and_on_beyond_them():
    curve = Calibration(np.array([[0.0, -1000.0], [500.0, 0.0], [700.0, 100.0]]))
    np.testing.assert_allclose(
        curve.hu(np.array([0, 250, 500, 600, 700, 900])), [-1000, -500, 0, 50, 100, 200], atol=0.01
    )
    assert curve.hu(np.array([-20])) == pytest.approx(-1024)  # not below the scale
    assert curve.hu(np.array([30000])) == pytest.approx(3071)


@pytest.mark.parametrize("points", [[[0, 0]], [[0, 0], [0, 10]], [[0, 10], [10, 0]], [[0, 0, 0], [1, 1, 1]]])
def test_a_curve_that_does_not_rise_is_none(points):
    with pytest.raises(EngineError):
        Calibration(np.array(points, np.float64))


@given(scale=st.floats(0.4, 2.5), offset=st.floats(-2000, 2000))
def test_two_peaks_undo_any_scale_and_offset(scale, offset):
    hu = phantom()
    noise = np.random.default_rng(1).standard_normal(hu.shape).astype(np.float32) * 5
    values = (hu + noise) * np.float32(scale) + np.float32(offset)
    back = rough(values, 50.0).hu(values)
    assert float(np.median(back[hu == 50])) == pytest.approx(50, abs=15)
    assert float(np.median(back[hu == -1000])) == pytest.approx(-1000, abs=15)


def test_what_was_not_reconstructed_is_not_taken_for_air():
    """A quarter of the frame has the lowest value, far below air."""
    hu = phantom() + np.random.default_rng(1).standard_normal(GRID.shape).astype(np.float32) * 5
    hu[:, :, :12] = -3000
    back = rough(hu, 50.0, filling_of(hu, GRID)).hu(hu)
    assert float(np.median(back[distance() > 50])) == pytest.approx(-1000, abs=15)


def test_air_without_noise_is_air():
    """Its one value is the lowest of all, and the body in it is oval."""
    hu = phantom()
    assert filling_of(hu, GRID) is None
    back = rough(hu * 0.8 - 70, 50.0, filling_of(hu, GRID)).hu(hu * 0.8 - 70)
    np.testing.assert_allclose(back[(hu == 50) | (hu == -1000)], hu[(hu == 50) | (hu == -1000)], atol=5)


def test_an_image_without_air_is_not_scaled_by_its_fat():
    """Fat and muscle part it, 150 HU apart."""
    hu = np.where(distance() < 36, 50, -100)[:, 8:22]
    with pytest.raises(EngineError, match="does not show air and tissue"):
        rough(hu, 50.0)


def test_two_groups_are_parted_between_them():
    assert 9 <= two_groups(np.r_[np.full(50, 5.0), np.full(70, 90.0), np.linspace(0, 9, 40)]) < 90


def test_one_value_cannot_be_calibrated():
    with pytest.raises(EngineError):
        rough(np.full(GRID.shape, 3, np.int16), 50.0)


def test_tissue_medians_find_a_bent_curve_back():
    """Bone has lost half of its contrast, which two peaks cannot know."""
    hu = phantom()
    bent = np.where(hu > 100, 100 + (hu - 100) * 0.5, hu) * 1.2 + 30
    curve, tissues = matched(bent, hu, np.ones(GRID.shape, np.bool_))
    assert tissues == ("air", "fat", "muscle and organs", "dense bone")
    np.testing.assert_allclose(curve.hu(bent)[hu != -950], hu[hu != -950], atol=0.5)


def test_tissues_are_needed():
    with pytest.raises(EngineError, match="too few tissues"):
        matched(phantom(), np.full(GRID.shape, -1000.0, np.float32), np.ones(GRID.shape, np.bool_))


def test_cupping_is_taken_out_and_air_stays_air():
    hu = phantom()
    cupped = ((hu + 1000) * (1 - 0.1 * np.clip(1 - distance() / 46, 0, 1)) - 1000).astype(np.float32)
    flat = flattened(cupped, hu, distance() < 46, GRID)
    soft = (hu == 50) & (distance() < 30)
    assert float(np.abs(cupped - hu)[soft].mean()) > 40
    assert float(np.abs(flat - hu)[soft].mean()) < 15
    np.testing.assert_allclose(flat[hu == -1000], -1000, atol=0.01)


def test_an_image_that_is_right_is_left_alone():
    hu = phantom()
    np.testing.assert_allclose(flattened(hu, hu, distance() < 46, GRID), hu, atol=0.01)


def test_the_peak_of_muscle():
    hu = phantom() + np.random.default_rng(1).standard_normal(GRID.shape) * 15
    assert soft_peak(hu, distance() < 46) == pytest.approx(50, abs=5)
    with pytest.raises(EngineError):
        soft_peak(hu, distance() > 60)


def test_a_body_is_found_without_its_couch():
    """A couch top of one voxel, 8 mm below, and one that touches."""
    hu = phantom()
    body = hu > -300
    body[5:9, 8:12, 16:22] = True
    for row in (28, 26):
        with_couch = hu.copy()
        with_couch[:, row, 4:36] = 100
        found = body_of(with_couch, GRID)
        assert (found & body).sum() == body.sum()
        assert (found & ~body).sum() <= 0.04 * body.sum()


def test_a_body_on_fine_voxels_is_that_of_coarse_ones():
    fine = Grid((-79.0, -59.0, -39.0), (2.0, 2.0, 2.0), (40, 60, 80))
    hu = np.repeat(np.repeat(np.repeat(phantom(), 2, 0), 2, 1), 2, 2)
    expected = np.repeat(np.repeat(np.repeat(body_of(phantom(), GRID), 2, 0), 2, 1), 2, 2)
    np.testing.assert_array_equal(body_of(hu, fine), expected)


def test_no_body():
    with pytest.raises(EngineError):
        body_of(np.full(GRID.shape, -1000, np.int16), GRID)


def test_todays_gas_and_outline_win_over_the_deformed_reference():
    before = phantom()
    today = before.copy()
    today[5:9, 8:12, 16:22] = 50  # the gas of the reference is gone
    today[12:15, 18:22, 25:29] = -900  # and there is new gas
    thinner = distance() < 40
    today[~thinner] = -1000
    body = thinner.copy()
    made = deformed_with_today(before, today, body, np.ones(GRID.shape, np.bool_), GRID)
    assert (made[~body] == -1000).all()
    assert (made[12:15, 18:22, 25:29] == -900).all()
    assert made[5:9, 8:12, 16:22].min() >= -100
    same = body & (before == today)
    np.testing.assert_array_equal(made[same], before[same])


def test_where_today_does_not_reach_the_deformed_reference_stays():
    before = phantom()
    seen = np.zeros(GRID.shape, np.bool_)
    seen[:, :, 20:] = True
    made = deformed_with_today(before, np.full_like(before, -1000), np.zeros(GRID.shape, np.bool_), seen, GRID)
    np.testing.assert_array_equal(made[~seen], before[~seen])
    assert (made[seen] == -1000).all()
