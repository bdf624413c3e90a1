"""Displacement fields, against maps that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.builtin.deformation import Bump, Deformation
from engines.errors import EngineError
from engines.grid import Grid
from engines.registration import DisplacementField, RigidTransform

GRID = Grid((-20.0, -15.0, -12.0), (2.0, 2.5, 3.0), (9, 13, 21))
TURNED = RigidTransform.of((4.0, -3.0, 2.0), (2.0, -1.0, 3.0), (1.0, 2.0, 3.0))


def test_a_rigid_motion_as_a_field_moves_points_as_the_matrix_does():
    field = DisplacementField.of_rigid(TURNED, GRID)
    points = np.random.default_rng(3).uniform((-20, -15, -12), (20, 15, 12), (50, 3))
    assert np.abs(field.apply(points) - TURNED.apply(points)).max() < 1e-4
    assert field.jacobian() == pytest.approx(1.0, abs=1e-5)


def test_a_stretch_along_one_axis_has_its_factor_as_jacobian():
    x_mm, _, _ = GRID.axes_mm()
    displacement = np.zeros((*GRID.shape, 3), np.float32)
    displacement[..., 0] = 0.25 * x_mm  # x_moving = 1.25 x
    assert DisplacementField(GRID, displacement).jacobian() == pytest.approx(1.25, abs=1e-5)


def test_a_fold_has_a_negative_jacobian():
    x_mm, _, _ = GRID.axes_mm()
    displacement = np.zeros((*GRID.shape, 3), np.float32)
    displacement[..., 0] = -1.5 * x_mm
    assert DisplacementField(GRID, displacement).jacobian().max() < 0


def test_values_linear_in_space_are_pulled_exactly():
    deformation = Deformation((1.0, -2.0, 0.5), (Bump((0.0, 0.0, 0.0), (2.0, 1.0, -1.0), 8.0),))
    field = DisplacementField(GRID, deformation.field_mm(GRID))
    source = Grid((-40.0, -40.0, -40.0), (4.0, 4.0, 4.0), (21, 21, 21))
    x, y, z = (axis.astype(np.float32) for axis in source.axes_mm())
    values = 3 * x[None, None, :] - 2 * y[None, :, None] + z[:, None, None]
    pulled = field.pulled(values, source, GRID, outside=np.nan)
    x, y, z = GRID.axes_mm()
    there = deformation.to_reference(x[None, None, :], y[None, :, None], z[:, None, None])
    assert pulled == pytest.approx(3 * there[0] - 2 * there[1] + there[2], abs=1e-3)


def test_a_coarse_field_is_read_between_its_voxels():
    coarse = Grid((-30.0, -30.0, -30.0), (10.0, 10.0, 10.0), (7, 7, 7))
    fine = DisplacementField.of_rigid(TURNED, GRID).pulled(
        np.ones((3, 3, 3)), Grid((0, 0, 0), (5, 5, 5), (3, 3, 3)), GRID, outside=0.0
    )
    other = DisplacementField.of_rigid(TURNED, coarse).pulled(
        np.ones((3, 3, 3)), Grid((0, 0, 0), (5, 5, 5), (3, 3, 3)), GRID, outside=0.0
    )
    assert (fine > 0).sum() > 50
    assert (fine != other).mean() < 0.01  # rounding at the border


def test_outside_of_the_source_is_what_was_asked_for():
    field = DisplacementField(GRID, np.full((*GRID.shape, 3), 500.0, np.float32))
    pulled = field.pulled(np.ones(GRID.shape), GRID, GRID, outside=-1000.0)
    assert (pulled == -1000).all()


def test_a_region_keeps_its_volume_under_a_shift():
    field = DisplacementField(GRID, np.full((*GRID.shape, 3), (1.0, 0.0, 0.0), np.float32))
    dense = np.zeros(GRID.shape, np.float32)
    dense[3:6, 4:9, 8:14] = 1
    moved = field.pulled(dense, GRID, GRID, outside=0.0)
    assert moved.sum() == pytest.approx(dense.sum(), rel=1e-5)
    assert moved[moved > 1e-6].min() == pytest.approx(0.5)


def test_what_is_no_field_is_refused():
    with pytest.raises(EngineError, match="is not on a grid"):
        DisplacementField(GRID, np.zeros((2, 2, 2, 3), np.float32))
    with pytest.raises(EngineError, match="not finite"):
        DisplacementField(GRID, np.full((*GRID.shape, 3), np.nan, np.float32))
