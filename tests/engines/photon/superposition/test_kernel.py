"""Fitted kernels hold the energy of the tables that they were fitted to; cones hand out all of it."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.photon.photon_data import load_attenuation, load_spectrum
from engines.photon.point_kernels import load_point_kernels
from engines.photon.superposition.cones import DEGREE, cone_weights, cones
from engines.photon.superposition.kernel import exponential_kernel
from engines.photon.superposition.model import TERMS

from .cases import TABLES, point_source

RATIO = 2.0 ** np.arange(TERMS)


def within(weights, first_per_mm, radius_mm):
    """Energy within each radius, summed over polar angles."""
    return weights.sum(axis=0) @ (1 - np.exp(-np.outer(first_per_mm * RATIO, radius_mm)))


def test_a_kernel_of_those_exponentials_is_found_again():
    edges, radius = np.array([0.0, 40.0, 180.0]), np.concatenate([[0.0], np.geomspace(0.1, 2000.0, 60)])
    primary, scatter = np.array([[0.5, 0.2, -0.1], [0.1, 0.1, 0.2]]), np.array([[0.3, 0.1, 0.1], [0.2, 0.2, 0.1]])
    shells = [
        np.diff(w @ (1 - np.exp(-np.outer(first * RATIO, radius))), axis=1)
        for w, first in ((primary, 0.25), (scatter, 0.005))
    ]
    found = exponential_kernel(edges, radius, *shells)
    np.testing.assert_allclose(found.primary, primary, atol=2e-3)
    np.testing.assert_allclose(found.scatter, scatter, atol=2e-3)


def test_the_6_mv_kernel_keeps_its_energy_within_every_radius():
    spectrum, water = load_spectrum(TABLES / "spectrum_6mv.csv"), load_attenuation(TABLES / "water.csv")
    tables = load_point_kernels(TABLES / "water_point_kernels.npz")
    # Shares of the tabulated energies in the energy released: nearest energy, which is enough to compare with.
    nearest = np.abs(np.log(spectrum.energy_mev[:, None] / tables.energy_mev)).argmin(axis=1)
    released = np.bincount(
        nearest, spectrum.fluence * spectrum.energy_mev * water.at(spectrum.energy_mev), tables.energy_mev.size
    )
    primary, scatter = tables.mix(released)
    kernel, radius = point_source().kernel, tables.radius_edges_mm[1:]
    expected = np.cumsum(primary.sum(axis=0)) / primary.sum()
    np.testing.assert_allclose(within(kernel.primary, 0.25, radius), expected, atol=0.02)
    expected = np.cumsum(scatter.sum(axis=0)) / (1 - primary.sum())
    np.testing.assert_allclose(within(kernel.scatter, 0.005, radius), expected, atol=0.012)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(EngineError, match="polar bins"):
        exponential_kernel(np.array([0.0, 180.0]), np.array([0.0, 1.0]), np.ones((2, 1)), np.ones((1, 1)))
    with pytest.raises(EngineError, match="without energy"):
        exponential_kernel(np.array([0.0, 180.0]), np.array([0.0, 1.0]), np.zeros((1, 1)), np.ones((1, 1)))


@pytest.mark.parametrize(("degree", "count"), [(DEGREE, 110), (11, 50)])
def test_the_cones_cover_all_directions_evenly(degree, count):
    every = cones(degree)
    assert len(every.directions) == count
    assert every.solid_angles.sum() == pytest.approx(4 * np.pi)
    np.testing.assert_allclose(np.linalg.norm(every.directions, axis=1), 1.0)
    np.testing.assert_allclose(every.solid_angles @ every.directions, 0.0, atol=1e-9)


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("axis", [(0, 1, 0), (1, 0, 0), (0.6, 0, 0.8), (-0.3, 0.5, 0.2)])
def test_along_any_ray_all_cones_together_carry_the_whole_energy(axis, part):
    kernel, every = point_source().kernel, cones(DEGREE)
    rng = np.random.default_rng(3)
    rays = np.asarray(axis, float) / np.linalg.norm(axis) + rng.uniform(-0.12, 0.12, (25, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    weights = cone_weights(kernel, part, every, rays[None]).astype(float)[:, 0]
    apart = every.directions @ rays.T - weights[:, :1]
    powers = np.stack([np.ones_like(apart), apart, apart**2], axis=-1)
    carried = np.einsum("csp,ctp->st", powers, weights[:, 3:].reshape(len(weights), TERMS, 3))
    totals = (kernel.primary, kernel.scatter)[part].sum(axis=0)
    # Single terms differ by what the quadratic cannot follow over 14 degrees; of opposite sign, they make it up.
    np.testing.assert_allclose(carried, np.tile(totals, (25, 1)), atol=0.03)
    assert carried.sum(axis=1) == pytest.approx(np.full(25, 1.0), rel=0.01)
