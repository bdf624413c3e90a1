"""Signed distances against points whose distance is known by construction."""

import numpy as np
import pytest

from appliance.builtin.shapes import box, cylinder, ellipsoid, elliptic_rod, slab_between


def at(solid, points):
    x, y, z = np.asarray(points, np.float32).T
    return solid.field(x, y, z)


@pytest.mark.parametrize("semi_axes", [(20.0, 13.0, 32.5), (25.0, 20.0, 25.0), (11.0, 16.0, 22.0)])
@pytest.mark.parametrize("share", [-0.5, -0.2, 0.0, 0.2, 1.0, 2.0])
def test_distance_to_an_ellipsoid_along_its_normals(semi_axes, share):
    """A point some height along the outward normal of the surface lies exactly that far away, unless it is deeper
    than the smallest radius of curvature, min(r)² / max(r)."""
    radii = np.array(semi_axes)
    height = share * radii.min() ** 2 / radii.max()
    rng = np.random.default_rng(7)
    direction = rng.standard_normal((2000, 3))
    surface = direction / np.linalg.norm(direction / radii, axis=1, keepdims=True)
    normal = surface / radii**2
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    centre = np.array([3.0, -40.0, 12.0])
    found = at(ellipsoid(semi_axes, centre_mm=tuple(centre)), surface + height * normal + centre)
    assert np.abs(found - height).max() < 2e-3


def test_a_round_rod_and_an_elliptic_rod_of_equal_axes_agree():
    rng = np.random.default_rng(3)
    points = rng.uniform(-40, 40, (5000, 3))
    points = points[np.hypot(points[:, 0], points[:, 1]) > 12]
    round_rod = cylinder(20.0, -1000.0, 1000.0)
    assert np.allclose(at(elliptic_rod((20.0, 20.0)), points), at(round_rod, points), atol=2e-3)


def test_box_faces_and_boolean_operations():
    solid = box((-10, -20, -30), (10, 20, 30))
    assert at(solid, [(0, 0, 0), (12, 0, 0), (0, -19, 0), (0, 0, 35)]).tolist() == [-10, 2, -1, 5]
    cut = solid & slab_between(1, -5, 5)
    assert at(cut, [(0, 6, 0), (0, 4, 0)]).tolist() == [1, -1]
    hollow = solid.minus(cylinder(4, -100, 100))
    assert at(hollow, [(0, 0, 0), (5, 0, 0)]).tolist() == [4, -1]
    assert hollow.lower_mm == solid.lower_mm
    grown = solid.grown(2)
    assert at(grown, [(12, 0, 0)]).tolist() == [0]
    assert (grown.lower_mm, grown.upper_mm) == ((-12, -22, -32), (12, 22, 32))
