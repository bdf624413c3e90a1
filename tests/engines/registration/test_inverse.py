"""Inverse and composition of fields."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.builtin.deformation import Bump, Deformation
from engines.grid import Grid
from engines.registration import (
    DisplacementField,
    RigidTransform,
    composed,
    found_in_fixed,
    inconsistency_mm,
    inverse_of,
)

GRID = Grid((-40.0, -40.0, -40.0), (4.0, 4.0, 4.0), (21, 21, 21))
INNER = Grid((-20.0, -20.0, -20.0), (4.0, 4.0, 4.0), (11, 11, 11))
BENT = DisplacementField(GRID, Deformation((3.0, -2.0, 1.0), (Bump((0, 0, 0), (6.0, -4.0, 5.0), 18.0),)).field_mm(GRID))


def test_the_inverse_of_a_shift_is_the_opposite_shift():
    shift = DisplacementField.of_rigid(RigidTransform.of((5.0, -3.0, 2.0)), GRID)
    inverse = inverse_of(shift, INNER)
    assert inverse.field.displacement_mm == pytest.approx(np.broadcast_to((-5.0, 3.0, -2.0), (11, 11, 11, 3)), abs=1e-5)
    assert inverse.residual_mm.max() < 1e-5


def test_the_inverse_of_a_rotation_is_the_rotation_back():
    turn = RigidTransform.of((1.0, 2.0, -1.0), (8.0, -5.0, 10.0))
    inverse = inverse_of(DisplacementField.of_rigid(turn, GRID), INNER)
    points = np.random.default_rng(1).uniform(-15, 15, (40, 3))
    assert np.abs(inverse.field.apply(points) - turn.inverse.apply(points)).max() < 0.05


def test_a_field_after_its_inverse_is_the_identity():
    inverse = inverse_of(BENT, GRID)
    round_trip = composed(inverse.field, BENT, INNER)
    # the inverse is trilinear between its own voxels: a tenth of a millimetre at this bend
    assert np.abs(round_trip.displacement_mm).max() < 0.15
    assert inverse.residual_mm[5:16, 5:16, 5:16].max() < 0.05


def test_points_are_found_again():
    points = np.random.default_rng(2).uniform(-18, 18, (60, 3))
    assert np.abs(found_in_fixed(BENT, BENT.apply(points)) - points).max() < 0.05


def test_a_fold_has_no_inverse_and_the_residual_says_so():
    folded = Deformation(bumps=(Bump((0, 0, 0), (60.0, 0.0, 0.0), 12.0),)).field_mm(GRID)
    assert DisplacementField(GRID, folded).jacobian().min() < 0
    assert inverse_of(DisplacementField(GRID, folded), INNER).residual_mm.max() > 1.0


def test_two_shifts_one_after_the_other_add_up():
    one = DisplacementField.of_rigid(RigidTransform.of((1.0, 2.0, 3.0)), GRID)
    other = DisplacementField.of_rigid(RigidTransform.of((-4.0, 1.0, 0.5)), GRID)
    assert composed(one, other, INNER).displacement_mm[3, 4, 5] == pytest.approx((-3.0, 3.0, 3.5), abs=1e-5)


def test_a_backward_registration_that_is_off_by_two_millimetres_is_inconsistent_by_two():
    forward = DisplacementField.of_rigid(RigidTransform.of((6.0, 0.0, 0.0)), GRID)
    backward = DisplacementField.of_rigid(RigidTransform.of((-6.0, 0.0, 2.0)), GRID)
    points = np.random.default_rng(3).uniform(-30, 30, (50, 3))
    assert inconsistency_mm(forward, backward, points) == pytest.approx(2.0, abs=1e-4)
