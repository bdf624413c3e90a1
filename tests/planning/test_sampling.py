"""Samples stand for the whole patient: volumes, means, and nothing outside."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.planning.merit import FullGrid, Regions
from appliance.planning.sampling import sample_case

from .cases import cylinder_case


@pytest.fixture(scope="module")
def case():
    return cylinder_case(spacing_mm=2.0)


@pytest.fixture(scope="module")
def samples(case):
    return sample_case(case, 3.0)


def test_far_fewer_points_than_voxels(case, samples):
    assert samples.index.size < 0.2 * case.external.voxels.index.size
    assert np.all(np.diff(samples.index) > 0)


@pytest.mark.parametrize(("expression", "tolerance"), [("PTV", 1e-6), ("Core", 1e-6), ("External!PTV", 0.02)])
def test_weights_sum_to_the_structures_volume(case, samples, expression, tolerance):
    _, volume = Regions(case, samples).get(expression)
    _, full = FullGrid(case).get(expression)
    assert float(volume.sum(dtype=float)) == pytest.approx(float(full.sum(dtype=float)), rel=tolerance)


def test_the_body_weights_sum_to_the_bodys_volume(case, samples):
    volume = case.external.voxels.volume_cc(case.image.grid.voxel_volume_cc)
    assert float(samples.body_weight.sum(dtype=float)) == pytest.approx(volume, rel=0.02)


def test_the_mean_of_a_smooth_dose_is_that_of_every_voxel(case, samples):
    grid = case.image.grid
    x, y, z = grid.axes_mm()
    dose = (
        50 * np.exp(-((x[None, None] - 5) ** 2 + (y[None, :, None] + 10) ** 2 + z[:, None, None] ** 2) / 3000)
    ).ravel()
    for expression in ("External!PTV", "PTV", "Core"):
        at, weight = Regions(case, samples).get(expression)
        everywhere, full = FullGrid(case).get(expression)
        sampled = np.average(dose[samples.index[at]], weights=weight)
        assert sampled == pytest.approx(np.average(dose[everywhere], weights=full), rel=0.01)


def test_targets_and_organs_keep_all_their_voxels(case, samples):
    for structure in (case.structure("PTV"), case.structure("Core")):
        assert np.isin(structure.voxels.index, samples.index).all()


def test_distances_are_to_the_nearest_target_voxel(case, samples):
    inside = np.isin(samples.index, case.structure("PTV").voxels.index)
    assert not samples.distance_mm[inside].any()
    centre = np.array([5.0, -10.0, 0.0])
    from_centre = np.linalg.norm(samples.points_mm - centre, axis=1)
    np.testing.assert_allclose(samples.distance_mm[~inside], from_centre[~inside] - 18.0, atol=2.5)


def test_points_are_the_voxels_centres(case, samples):
    np.testing.assert_array_equal(samples.points_mm, case.image.grid.centres_mm(samples.index))


def test_a_region_without_a_voxel_in_the_case_is_none(case, samples):
    assert Regions(case, samples).get("Bladder") is None
    assert FullGrid(case).get("Bladder") is None
