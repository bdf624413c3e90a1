"""One cone, one line: the sweep against integrals done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engines.photon import _kernels

N, MM = 24, 3.0
LAMBDA = 0.25 * 2.0 ** np.arange(3)


def sweep(density, released, direction, *, term=0, threads=1):
    """Energy of one group, all of it in one term of one cone; dose (a, b, c)."""
    weights = np.zeros((1, 1, _kernels.CONE_WEIGHTS), np.float32)
    weights[0, 0, 1:3] = (-2.0, 2.0)
    weights[0, 0, 3 + 3 * term] = 1.0
    hulls = np.tile(np.array([0, density.shape[2]], np.int16), (1, *density.shape[:2], 1))
    dose = np.zeros(density.shape, np.float32)
    w = np.asarray(direction, float) / np.linalg.norm(direction)
    _kernels.transport(
        density, [0.0] * 3, [MM] * 3, [released], hulls,
        np.full((1, 3), -500.0, np.float32), w[None].astype(np.float32), weights, 0.25, dose, threads,
    )  # fmt: skip
    return dose


def one_voxel(at):
    released = np.zeros((N, N, N), np.float32)
    released[at] = 1.0
    return released


@pytest.mark.parametrize("term", [0, 1, 2])
@pytest.mark.parametrize(("direction", "axis"), [((1, 0, 0), 0), ((0, 1, 0), 1), ((0, -1, 0), 1), ((-1, 0, 0), 0)])
def test_energy_released_in_one_voxel_falls_off_exponentially_along_the_line(term, direction, axis):
    dose = sweep(np.ones((N, N, N), np.float32), one_voxel((12, 12, 12)), direction, term=term)
    line = np.moveaxis(dose, axis, 0)[:, 12, 12]
    line = line[::-1] if sum(direction) < 0 else line
    x = LAMBDA[term] * MM
    at = 12 if sum(direction) > 0 else N - 1 - 12
    leaves = (1 - np.exp(-x)) / x  # of energy released evenly over the voxel
    expected = np.concatenate([np.zeros(at), [1 - leaves], leaves * (1 - np.exp(-x)) * np.exp(-x * np.arange(N))])[:N]
    np.testing.assert_allclose(line, expected, atol=2e-6)
    assert dose.sum() == pytest.approx(line.sum(), abs=1e-5)  # nothing beside the line


@pytest.mark.parametrize("direction", [(1, 0.3, 0.2), (-0.4, 1, 0.9), (0.5, -0.6, -0.5), (1, 1, 1), (-1, -0.99, 0.98)])
def test_oblique_lines_lose_nothing_and_keep_their_direction(direction):
    dose = sweep(np.ones((N, N, N), np.float32), one_voxel((12, 12, 12)), direction, term=1)
    assert dose.sum() == pytest.approx(1.0, abs=1e-4)
    centre = np.array([np.arange(N) @ dose.sum(axis=tuple({0, 1, 2} - {a})) for a in range(3)]) - 12
    w = np.asarray(direction) / np.linalg.norm(direction)
    mean_mm = 1 / LAMBDA[1]
    np.testing.assert_allclose(centre * MM, w * mean_mm, atol=MM / 2)


def test_a_field_that_fills_the_grid_crosses_every_voxel_once():
    """Of even release everywhere, far from where lines begin, as much arrives as leaves: dose 1."""
    for direction in ((1, 0.37, -0.61), (-0.2, -1, 0.4)):
        dose = sweep(np.ones((N, N, N), np.float32), np.ones((N, N, N), np.float32), direction, term=2)
        np.testing.assert_allclose(dose[8:16, 8:16, 8:16], 1.0, atol=1e-3)


def test_density_stretches_the_way(rng_density=0.25):
    light = np.full((N, N, N), rng_density, np.float32)
    dose = sweep(light, one_voxel((2, 12, 12)), (1, 0, 0), term=1)[:, 12, 12]
    x = LAMBDA[1] * MM * rng_density
    leaves = (1 - np.exp(-x)) / x
    # Dose is energy by mass: the released 1 per mass times the density, deposited, over the density.
    np.testing.assert_allclose(dose[3:], leaves * (1 - np.exp(-x)) * np.exp(-x * np.arange(N - 3)), atol=2e-6)


def test_air_and_metal_keep_energy_too():
    density = np.ones((N, N, N), np.float32)
    density[6:10], density[10:12] = 0.0012, 19.0
    dose = sweep(density, one_voxel((4, 12, 12)), (1, 0.2, 0.1), term=0)
    assert np.isfinite(dose).all()
    assert (dose * density).sum() == pytest.approx(1.0, abs=1e-3)


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(1)
    density = rng.uniform(0.1, 2, (N, N, N)).astype(np.float32)
    released = rng.uniform(0, 1, (N, N, N)).astype(np.float32)
    one, two = (sweep(density, released, (0.7, -0.5, 0.3), threads=t) for t in (1, 2))
    assert np.array_equal(one, two)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="directions, groups"):
        a = np.ones((2, 2, 2), np.float32)
        hulls = np.zeros((1, 2, 2, 2), np.int16)
        two = np.zeros((1, 3), np.float32)
        _kernels.transport(
            a, [0.0] * 3, [1.0] * 3, [a], hulls, two, two, np.zeros((1, 1, 5), np.float32), 0.25, a.copy(), 1,
        )  # fmt: skip
