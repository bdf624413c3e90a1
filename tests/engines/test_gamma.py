"""Gamma index: cases with a gamma known by hand, symmetries, and brute force on rough doses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.gamma import GammaCriteria, gamma_index
from engines.grid import Grid, resample

CUBE = Grid((-10.0, -10.0, -10.0), (2.0, 2.0, 2.0), (11, 11, 11))
TG218 = GammaCriteria(normalisation_gy=100.0)  # 3 Gy, 2 mm


def x_mm(grid: Grid = CUBE) -> NDArray[np.float64]:
    return np.broadcast_to(grid.axes_mm()[0], grid.shape)


def plane(value_gy: float, grid: Grid = CUBE) -> NDArray[np.float32]:
    return np.full(grid.shape, value_gy, np.float32)


def line(values_gy: NDArray[np.floating], spacing_mm: float, start_mm: float = 0.0) -> tuple[NDArray[np.float32], Grid]:
    """A dose along x alone."""
    grid = Grid((start_mm, 0.0, 0.0), (spacing_mm, 1.0, 1.0), (1, 1, len(values_gy)))
    return np.asarray(values_gy, np.float32).reshape(1, 1, -1), grid


@pytest.mark.parametrize("offset_gy", [0.0, 1.5, -1.5, 3.0, -4.5])
def test_a_uniform_offset_is_its_share_of_the_dose_criterion(offset_gy: float) -> None:
    found = gamma_index(plane(50), CUBE, plane(50 + offset_gy), CUBE, criteria=TG218)
    np.testing.assert_allclose(found.gamma, abs(offset_gy) / 3.0, atol=1e-3)
    assert found.pass_percent == (100.0 if abs(offset_gy) <= 3.0 else 0.0)


def test_local_criteria_are_shares_of_the_reference_dose_at_each_point() -> None:
    reference = (20 + 4 * (x_mm() + 10)).astype(np.float32)
    criteria = GammaCriteria(local=True, distance_mm=1e-3)
    found = gamma_index(reference, CUBE, reference * np.float32(1.03), CUBE, criteria=criteria)
    np.testing.assert_allclose(found.gamma, 1.0, atol=2e-3)


@pytest.mark.parametrize(("slope", "shift_mm"), [(0.5, 1.0), (2.0, 1.0), (10.0, 1.0), (40.0, -0.8), (1.0, 3.0)])
def test_a_shifted_ramp(slope: float, shift_mm: float) -> None:
    """min over x of (x / dta)^2 + (g (x - s) / dose)^2 is g s / sqrt(dose^2 + g^2 dta^2)."""
    reference = (500 + slope * x_mm()).astype(np.float32)
    evaluated = (500 + slope * (x_mm() - shift_mm)).astype(np.float32)
    found = gamma_index(reference, CUBE, evaluated, CUBE, criteria=TG218)
    expected = slope * abs(shift_mm) / np.hypot(3.0, slope * 2.0)
    np.testing.assert_allclose(found.gamma[:, :, 3:-3], min(expected, 2.0), atol=2e-3)


def test_a_ramp_across_the_axes_counts_its_whole_slope() -> None:
    z, y, x = np.meshgrid(*(CUBE.axes_mm()[axis] for axis in (2, 1, 0)), indexing="ij")
    reference = (500 + 3 * x - 4 * y + 12 * z).astype(np.float32)
    found = gamma_index(reference, CUBE, reference + np.float32(10), CUBE, criteria=TG218)
    np.testing.assert_allclose(found.gamma[5, 5, 5], 10 / np.hypot(3.0, 13 * 2.0), atol=1e-3)


@pytest.mark.parametrize("distance_mm", [0.5, 1.0, 1.9, 3.0])
def test_a_step_is_as_far_as_its_edge(distance_mm: float) -> None:
    """The evaluated dose jumps from 0 to 1000 Gy within 0.1 mm; a point before it with 1000 Gy finds it there."""
    step, grid = line(np.where(np.arange(101) >= 50, 1000.0, 0.0), 0.1)
    reference, at = line(np.array([1000.0, 1000.0]), 0.1, 5.0 - distance_mm)
    found = gamma_index(reference, at, step, grid, criteria=TG218)
    np.testing.assert_allclose(found.gamma[0, 0, 0], min(distance_mm / 2.0, 2.0), atol=2e-3)


def test_the_dose_between_voxels_is_linear() -> None:
    """From (0 mm, 0 Gy) to (4 mm, 12 Gy), point at 0 mm with 6 Gy, 3 Gy / 2 mm: in criteria the line (s, 2 s) from a
    point 2 above its start: distance 2 / sqrt(5)."""
    evaluated, grid = line(np.array([0.0, 12.0]), 4.0)
    reference, at = line(np.array([6.0]), 1.0)
    found = gamma_index(
        reference, at, evaluated, grid, criteria=GammaCriteria(normalisation_gy=100.0, threshold_percent=1)
    )
    assert found.gamma.item() == pytest.approx(2 / np.sqrt(5), abs=1e-3)


def rough(seed: int, shape: tuple[int, int, int], spread_gy: float = 30.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(100 - spread_gy, 100, shape).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 5.0, 30.0]))
def test_brute_force_finds_nothing_below_and_comes_close(seed: int, spread_gy: float) -> None:
    """Random voxels, so many local minima. Sampled at a tenth of a voxel, a 3 x 3 x 3 dose, its middle voxel judged."""
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.5, 3.0), (3, 3, 3))
    reference, evaluated = rough(seed, grid.shape, spread_gy), rough(seed + 1, grid.shape, spread_gy)
    found = gamma_index(reference, grid, evaluated, grid, criteria=GammaCriteria(normalisation_gy=100.0, largest=9.0))
    fine = Grid((0.0, 0.0, 0.0), (0.1, 0.125, 0.15), (41, 41, 41))
    dose_gy = resample(evaluated, grid, fine)
    z, y, x = np.meshgrid(*(fine.axes_mm()[axis] for axis in (2, 1, 0)), indexing="ij")
    squared = ((x - 2.0) ** 2 + (y - 2.5) ** 2 + (z - 3.0) ** 2) / 4.0 + ((dose_gy - reference[1, 1, 1]) / 3.0) ** 2
    sampled = float(np.sqrt(squared.min()))
    assert found.gamma[1, 1, 1] <= sampled + 1e-4
    assert found.gamma[1, 1, 1] >= sampled - 0.25 * spread_gy / 30.0 - 0.1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 1, 2]))
def test_mirrored_doses_have_the_mirrored_gamma(seed: int, axis: int) -> None:
    grid = Grid((-2.0, -4.0, -3.0), (2.0, 2.0, 2.0), (4, 5, 3))
    origin = list(grid.origin_mm)
    origin[2 - axis] = -(origin[2 - axis] + grid.spacing_mm[2 - axis] * (grid.shape[axis] - 1))
    mirrored = Grid((origin[0], origin[1], origin[2]), grid.spacing_mm, grid.shape)
    a, b = rough(seed, grid.shape), rough(seed + 1, grid.shape)
    straight = gamma_index(a, grid, b, grid, criteria=TG218).gamma
    turned = gamma_index(np.flip(a, axis), mirrored, np.flip(b, axis), mirrored, criteria=TG218).gamma
    np.testing.assert_allclose(np.flip(turned, axis), straight, atol=2.1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_gamma_knows_no_units(seed: int, dose_scale: float, length_scale: float) -> None:
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.5, 3.0), (3, 4, 4))
    scaled = Grid((0.0, 0.0, 0.0), (2.0 * length_scale, 2.5 * length_scale, 3.0 * length_scale), grid.shape)
    a, b = rough(seed, grid.shape), rough(seed + 1, grid.shape)
    plain = gamma_index(a, grid, b, grid).gamma
    criteria = GammaCriteria(distance_mm=2.0 * length_scale)
    other = gamma_index(a * np.float32(dose_scale), scaled, b * np.float32(dose_scale), scaled, criteria=criteria)
    np.testing.assert_allclose(other.gamma, plain, atol=2.1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_looser_criteria_never_raise_gamma_and_a_dose_agrees_with_itself(seed: int) -> None:
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (4, 4, 4))
    a, b = rough(seed, grid.shape), rough(seed + 1, grid.shape)
    strict = gamma_index(a, grid, b, grid, criteria=GammaCriteria(2.0, 1.0, largest=50.0)).gamma
    loose = gamma_index(a, grid, b, grid, criteria=GammaCriteria(3.0, 2.0, largest=50.0)).gamma
    assert np.all(loose <= strict + 1e-3)
    assert gamma_index(a, grid, a, grid).highest < 1e-5


def test_grids_may_differ_as_long_as_the_doses_do_not() -> None:
    """A dose linear in space is the same dose on any grid."""
    fine = Grid((-9.0, -9.5, -8.7), (1.3, 1.7, 2.1), (8, 11, 14))
    doses = [(300 + 5 * x_mm(grid)).astype(np.float32) for grid in (CUBE, fine)]
    assert gamma_index(doses[1], fine, doses[0], CUBE).highest < 2e-3


def test_only_doses_above_the_threshold_and_inside_are_judged() -> None:
    reference = (50 + 5 * x_mm()).astype(np.float32)  # 0 to 100 Gy
    inside = np.zeros(CUBE.shape, np.bool_)
    inside[:5] = True
    found = gamma_index(reference, CUBE, reference, CUBE, inside=inside)
    judged = np.isfinite(found.gamma)
    assert np.array_equal(judged, inside & (reference >= 10.0))
    assert found.points == np.count_nonzero(judged) and found.pass_percent == 100.0


def test_a_dose_that_does_not_reach_the_reference_fails_it() -> None:
    far = Grid((90.0, 0.0, 0.0), (2.0, 2.0, 2.0), (3, 3, 3))
    found = gamma_index(plane(50), CUBE, plane(50, far), far, criteria=TG218)
    assert (found.pass_percent, found.highest) == (0.0, 2.0)


@pytest.mark.parametrize(
    ("criteria", "dose_gy"),
    [
        (GammaCriteria(dose_percent=0.0), 50.0),
        (GammaCriteria(distance_mm=float("nan")), 50.0),
        (GammaCriteria(threshold_percent=110.0), 50.0),
        (GammaCriteria(normalisation_gy=-1.0), 50.0),
        (GammaCriteria(normalisation_gy=1000.0), 50.0),
        (GammaCriteria(), 0.0),
        (GammaCriteria(), float("nan")),
    ],
)
def test_what_cannot_be_judged_is_refused(criteria: GammaCriteria, dose_gy: float) -> None:
    with pytest.raises(EngineError):
        gamma_index(plane(dose_gy), CUBE, plane(50), CUBE, criteria=criteria)


def test_doses_that_do_not_fill_their_grids_are_refused() -> None:
    with pytest.raises(EngineError, match="shape"):
        gamma_index(plane(50)[:5], CUBE, plane(50), CUBE)
