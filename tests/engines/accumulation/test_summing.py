"""Fractions added up, against sums by hand and against fields and doses that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.builtin.cases import CASES
from appliance.builtin.deformation import Bump, Deformation
from engines.accumulation import Delivered, in_voxels, on_grid
from engines.errors import EngineError
from engines.gamma import GammaCriteria, gamma_index
from engines.grid import Grid
from engines.registration import DisplacementField, RigidTransform

GRID = Grid((-30.0, -20.0, -10.0), (2.0, 2.5, 2.0), (11, 17, 31))
STILL = RigidTransform(np.eye(4))
ORIGIN = np.zeros((1, 3))


def even(dose_gy: float, count: int = 1, uncertainty_mm: float = 0.0) -> Delivered:
    return Delivered(GRID, np.full(GRID.shape, dose_gy, np.float32), STILL, count, uncertainty_mm)


def ramp(per_mm: float, count: int = 1, uncertainty_mm: float = 0.0, to_fraction=STILL) -> Delivered:
    """10 Gy in the middle, rising along x from 0."""
    dose_gy = np.maximum(10 + per_mm * GRID.axes_mm()[0], 0).astype(np.float32)
    dose_gy = np.broadcast_to(dose_gy, GRID.shape).copy()
    return Delivered(GRID, dose_gy, to_fraction, count, uncertainty_mm)


def test_eqd2_is_taken_of_each_fraction_and_not_of_their_mean():
    fractions = [even(3.0), even(1.0)]
    found = in_voxels(fractions, ORIGIN, 3.0)
    # 3 (3 + 3) / 5 + 1 (1 + 3) / 5 = 3.6 + 0.8; two fractions of the mean, 2 Gy, would be 4.
    assert found.eqd2.value == pytest.approx(4.4)
    assert found.physical.value == pytest.approx(4.0)
    whole = on_grid(fractions, GRID, 3.0)
    assert whole.eqd2_gy == pytest.approx(4.4) and whole.dose_gy == pytest.approx(4.0)
    assert whole.reached.all()


def test_a_fraction_delivered_thrice_counts_thrice():
    assert in_voxels([even(2.0, 3)], ORIGIN, 10.0).eqd2.value == pytest.approx(6.0)
    assert on_grid([even(2.0, 3)], GRID, 10.0).dose_gy == pytest.approx(6.0)


def test_the_dose_follows_the_tissue():
    # x_fraction = x + 6 mm: the point at x = 0 has the dose of x = 6, 10 + 0.5 * 6.
    moved = ramp(0.5, to_fraction=RigidTransform.of((6.0, 0.0, 0.0)))
    field = ramp(0.5, to_fraction=DisplacementField.of_rigid(RigidTransform.of((6.0, 0.0, 0.0)), GRID))
    for given in (moved, field):
        assert in_voxels([given], ORIGIN, 3.0).physical.value == pytest.approx(13.0)
        centre = on_grid([given], GRID, 3.0).dose_gy[5, 8, 15]
        assert centre == pytest.approx(13.0, abs=1e-4)


def test_bands_of_a_ramp_by_hand():
    # 0.5 Gy a mm, known to within 2 mm: 1 Gy either way, for each fraction.
    once = in_voxels([ramp(0.5, 1, 2.0)], ORIGIN, 3.0).physical
    assert (once.low[0], once.high[0]) == pytest.approx((9.0, 11.0))
    assert (once.low_independent[0], once.high_independent[0]) == pytest.approx((9.0, 11.0))
    # Two registrations: 2 Gy if they err together, sqrt 2 if apart.
    apart = in_voxels([ramp(0.5, 1, 2.0), ramp(0.5, 1, 2.0)], ORIGIN, 3.0).physical
    assert (apart.low[0], apart.high[0]) == pytest.approx((18.0, 22.0))
    assert (apart.low_independent[0], apart.high_independent[0]) == pytest.approx((20 - 2**0.5, 20 + 2**0.5))
    # Two fractions of one registration share its error.
    shared = in_voxels([ramp(0.5, 2, 2.0)], ORIGIN, 3.0).physical
    assert (shared.low_independent[0], shared.high_independent[0]) == pytest.approx((18.0, 22.0))
    # Another uncertainty for each: 1 and 0.5 Gy.
    unlike = in_voxels([ramp(0.5, 1, 2.0), ramp(0.5, 1, 1.0)], ORIGIN, 3.0).physical
    assert unlike.high[0] == pytest.approx(21.5)
    assert unlike.high_independent[0] == pytest.approx(20 + 1.25**0.5)


def test_the_band_of_eqd2_is_that_of_the_doses_in_it():
    found = in_voxels([ramp(0.5, 1, 2.0)], ORIGIN, 3.0).eqd2
    # 9, 10 and 11 Gy in one fraction with alpha/beta 3.
    assert (found.low[0], found.value[0], found.high[0]) == pytest.approx((9 * 12 / 5, 10 * 13 / 5, 11 * 14 / 5))


def test_a_peak_narrower_than_the_radius_is_in_the_band():
    dose_gy = np.zeros(GRID.shape, np.float32)
    dose_gy[5, 8, 16] = 7.0  # at x = 2
    given = Delivered(GRID, dose_gy, STILL, 1, 4.0)
    assert in_voxels([given], ORIGIN, 3.0).physical.high == pytest.approx(7.0)


def test_what_a_dose_grid_does_not_reach_counts_as_nothing_and_is_told():
    far = RigidTransform.of((200.0, 0.0, 0.0))
    given = Delivered(GRID, np.full(GRID.shape, 2.0, np.float32), far, 1, 1.0)
    found = in_voxels([even(2.0), given], ORIGIN, 3.0)
    assert found.physical.value == pytest.approx(2.0) and found.unreached.all()
    whole = on_grid([even(2.0), given], GRID, 3.0)
    assert whole.dose_gy == pytest.approx(2.0) and not whole.reached.any()


def test_what_is_no_dose_or_no_fraction_is_refused():
    dose_gy = np.ones(GRID.shape, np.float32)
    with pytest.raises(EngineError, match="no fraction"):
        in_voxels([], ORIGIN, 3.0)
    with pytest.raises(EngineError, match="no fraction"):
        on_grid([], GRID, 3.0)
    for bad in (-dose_gy, dose_gy * np.nan):
        with pytest.raises(EngineError, match="negative or not numbers"):
            Delivered(GRID, bad, STILL, 1, 0.0)
    with pytest.raises(EngineError, match="not on a grid"):
        Delivered(GRID, dose_gy[1:], STILL, 1, 0.0)
    with pytest.raises(EngineError, match="once or more"):
        Delivered(GRID, dose_gy, STILL, 0, 0.0)
    with pytest.raises(EngineError, match="uncertainty"):
        Delivered(GRID, dose_gy, STILL, 1, np.inf)


# Three fractions on the TG-119 C-shape, each with another anatomy and another steep dose, all in closed form.

PHANTOM = Grid((-72.0, -72.0, -60.0), (3.0, 3.0, 3.0), (41, 49, 49))
FIELD = Grid((-75.0, -75.0, -63.0), (5.0, 5.0, 5.0), (26, 31, 31))
DOSE = Grid((-70.0, -71.0, -58.0), (2.5, 2.5, 2.5), (47, 58, 57))
CENTRES = ((3.0, -4.0, 2.0), (-2.0, 5.0, -3.0), (0.0, 0.0, 6.0))


def deformations() -> tuple[Deformation, ...]:
    """The built-in day, and two others of up to 8 mm."""
    more = (
        Deformation((2.0, -1.0, 4.0), (Bump((20.0, 10.0, 0.0), (6.0, -4.0, 2.0), 25.0),)),
        Deformation((-4.0, 3.0, 0.0), (Bump((-15.0, 0.0, 10.0), (-3.0, 5.0, 4.0), 22.0),)),
    )
    return (CASES["c-shape"].deformation, *more)


def given_gy(centre, x_mm, y_mm, z_mm) -> np.ndarray:
    """2 Gy in a ball of 35 mm with an edge of 17 % a mm, and 0.3 Gy around it that falls along the patient."""
    radius = np.sqrt((x_mm - centre[0]) ** 2 + (y_mm - centre[1]) ** 2 + (z_mm - centre[2]) ** 2)
    return 1.7 / (1 + np.exp((radius - 35.0) / 1.5)) + 0.3 * np.exp(-np.abs(z_mm) / 60.0)


def meshed(grid: Grid) -> tuple[np.ndarray, ...]:
    x_mm, y_mm, z_mm = grid.axes_mm()
    return np.broadcast_arrays(x_mm[None, None, :], y_mm[None, :, None], z_mm[:, None, None])


def course(uncertainty_mm: float = 0.0, counts=(1, 2, 1), error: np.ndarray | None = None) -> list[Delivered]:
    """error: added to every field (…, 3)."""
    fractions = []
    for deformation, centre, count in zip(deformations(), CENTRES, counts, strict=True):
        u = deformation.field_mm(FIELD) + (np.float32(0) if error is None else error)
        dose_gy = given_gy(centre, *meshed(DOSE)).astype(np.float32)
        fractions.append(Delivered(DOSE, dose_gy, DisplacementField(FIELD, u), count, uncertainty_mm))
    return fractions


def truth_gy(x_mm, y_mm, z_mm, counts=(1, 2, 1)) -> tuple[np.ndarray, np.ndarray]:
    """Physical and EQD2 (alpha/beta 3) of the tissue at these points of the reference."""
    physical = effective = np.zeros(np.shape(x_mm))
    for deformation, centre, count in zip(deformations(), CENTRES, counts, strict=True):
        dose_gy = given_gy(centre, *(axis.astype(float) for axis in deformation.to_reference(x_mm, y_mm, z_mm)))
        physical = physical + count * dose_gy
        effective = effective + count * dose_gy * (dose_gy + 3) / 5
    return physical, effective


def test_three_deformed_fractions_agree_with_the_truth_within_2_percent_and_2_mm():
    whole = on_grid(course(), PHANTOM, 3.0)
    physical, effective = truth_gy(*meshed(PHANTOM))
    criteria = GammaCriteria(dose_percent=2.0, distance_mm=2.0)
    for found, true in ((whole.dose_gy, physical), (whole.eqd2_gy, effective)):
        gamma = gamma_index(true.astype(np.float32), PHANTOM, found, PHANTOM, criteria=criteria, inside=whole.reached)
        assert gamma.points > 10_000
        assert gamma.pass_percent >= 99.0
    # Without the fields the same doses fail: they are what makes the sum right.
    still = [Delivered(item.grid, item.dose_gy, STILL, item.count, 0.0) for item in course()]
    wrong = on_grid(still, PHANTOM, 3.0).dose_gy
    gamma = gamma_index(physical.astype(np.float32), PHANTOM, wrong, PHANTOM, criteria=criteria, inside=whole.reached)
    assert gamma.pass_percent < 90.0


def test_the_band_holds_the_truth_where_fields_are_off_by_their_uncertainty():
    """Each of several smooth errors of 3 mm at most, the same for all three fractions: the worst for a sum."""
    x_mm, y_mm, z_mm = meshed(PHANTOM)
    inside = np.sqrt(x_mm**2 + y_mm**2 + z_mm**2) < 48.0
    points = np.stack([axis[inside] for axis in (x_mm, y_mm, z_mm)], axis=-1)[::3]
    physical, effective = truth_gy(*points.T)
    outside_plain = []
    for direction in ((1.0, 0.0, 0.0), (0.0, -0.6, 0.8), (-0.577, 0.577, 0.577), (0.9, 0.3, -0.316)):
        wave = Deformation((0.0, 0.0, 0.0), (Bump((10.0, 0.0, 0.0), tuple(3.0 * d for d in direction), 60.0),))
        found = in_voxels(course(3.0, error=wave.field_mm(FIELD)), points, 3.0)
        for banded, true in ((found.physical, physical), (found.eqd2, effective)):
            held = (banded.low - 0.02 <= true) & (true <= banded.high + 0.02)
            assert held.mean() >= 0.99
        outside_plain.append(np.mean(np.abs(found.physical.value - physical) > 0.02))
    # The errors are worth a band: without it the sum is off in many places.
    assert min(outside_plain) > 0.2


def test_a_mirrored_patient_gets_the_mirrored_dose():
    def mirrored(grid: Grid) -> Grid:
        x0, y0, z0 = grid.origin_mm
        return Grid((-(x0 + (grid.shape[2] - 1) * grid.spacing_mm[0]), y0, z0), grid.spacing_mm, grid.shape)

    def mirror(given: Delivered) -> Delivered:
        u = given.to_fraction.displacement_mm[:, :, ::-1] * np.array([-1, 1, 1], np.float32)
        field = DisplacementField(mirrored(given.to_fraction.grid), np.ascontiguousarray(u))
        return Delivered(mirrored(given.grid), given.dose_gy[:, :, ::-1].copy(), field, given.count, 2.0)

    fractions = course(2.0)
    one, other = on_grid(fractions, PHANTOM, 3.0), on_grid(list(map(mirror, fractions)), mirrored(PHANTOM), 3.0)
    # Whether a voxel on the border of a dose grid is reached is decided by rounding.
    inside = one.reached & other.reached[:, :, ::-1]
    assert inside.mean() > 0.6
    assert np.abs(one.dose_gy - other.dose_gy[:, :, ::-1])[inside].max() < 1e-3
    points = PHANTOM.centres_mm(np.flatnonzero(inside)[::97])
    here, there = (
        in_voxels(fractions, points, 3.0),
        in_voxels(list(map(mirror, fractions)), points * np.array([-1, 1, 1]), 3.0),
    )
    assert np.abs(here.eqd2.low - there.eqd2.low).max() < 1e-3
    assert np.abs(here.eqd2.high_independent - there.eqd2.high_independent).max() < 1e-3
