"""What a registration is judged by."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.registration import DisplacementField, RigidTransform, Scan, quality_of
from tests.engines.registration.simulated import textured_body

STILL = RigidTransform(np.eye(4))
GRID = Grid((-75.0, -60.0, -60.0), (5.0, 5.0, 5.0), (25, 25, 31))


@pytest.fixture(scope="module")
def scan() -> Scan:
    anatomy = textured_body()
    return Scan(anatomy.hu, anatomy.grid, anatomy.masks["External"])


def still(grid: Grid = GRID) -> DisplacementField:
    return DisplacementField.of_rigid(STILL, grid)


def test_an_image_on_itself_is_perfect(scan):
    organ = VoxelSet.from_dense(textured_body().masks["PTV"].astype(np.float32))
    found = quality_of(scan, scan, still(), start=STILL, backward=still(), organs={"PTV": organ})
    assert (found.least_jacobian, found.jacobian_1, found.jacobian_99, found.folded) == (1.0, 1.0, 1.0, 0)
    assert (found.inverse_median_mm, found.inverse_95_mm) == (0.0, 0.0)
    assert found.body.before == pytest.approx(1.0)
    assert found.organs["PTV"].after == pytest.approx(1.0)
    assert (found.surface_mean_mm, found.surface_95_mm, found.overlap) == (0.0, 0.0, 1.0)
    assert (found.bending_per_mm2, found.moved_most_mm, found.reached) == (0.0, 0.0, 1.0)


def test_a_registration_that_is_ten_millimetres_off_shows_it(scan):
    off = DisplacementField.of_rigid(RigidTransform.of((10.0, 0.0, 0.0)), GRID)
    found = quality_of(scan, scan, off, start=STILL, backward=still())
    assert found.body.before == pytest.approx(1.0)
    assert found.body.after < 0.9
    assert found.inverse_median_mm == pytest.approx(10.0, abs=1e-3)
    assert found.moved_median_mm == pytest.approx(10.0, abs=1e-3)
    assert 5.0 <= found.surface_95_mm <= 15.0
    assert found.overlap < 0.95


def test_a_stretch_has_its_jacobian_and_a_square_its_bending(scan):
    field = np.zeros((*GRID.shape, 3), np.float32)
    x = GRID.axes_mm()[0]
    field[..., 0] = 0.002 * x**2  # second derivative 0.004 per mm, and the Jacobian 1 + 0.004 x
    found = quality_of(scan, scan, DisplacementField(GRID, field), start=STILL)
    assert found.bending_per_mm2 == pytest.approx(0.004**2, rel=0.02)
    assert found.least_jacobian == pytest.approx(1 - 0.004 * 60)  # the outermost voxel inside
    assert math.isnan(found.inverse_95_mm)


def test_folds_are_counted_inside_the_body(scan):
    field = np.zeros((*GRID.shape, 3), np.float32)
    field[12, 12, 15, 0], field[12, 12, 16, 0] = 15.0, -15.0
    found = quality_of(scan, scan, DisplacementField(GRID, field), start=STILL)
    assert found.folded >= 1
    assert found.least_jacobian < 0


def test_what_an_image_does_not_reach_is_not_compared(scan):
    cut = scan.hu.astype(np.float32).copy()
    cut[:20] = np.nan
    found = quality_of(scan, Scan(cut, scan.grid, scan.body & np.isfinite(cut)), still(), start=STILL)
    assert found.reached == pytest.approx(0.5, abs=0.06)
    assert found.body.after == pytest.approx(1.0)
    assert found.surface_95_mm == 0.0
    nowhere = VoxelSet.from_dense(np.pad(np.ones((3, 3, 3), np.float32), [(2, 37), (24, 25), (30, 31)]))
    assert math.isnan(
        quality_of(scan, Scan(cut, scan.grid, scan.body), still(), start=STILL, organs={"low": nowhere})
        .organs["low"]
        .after
    )


def test_bodies_that_do_not_meet_are_refused(scan):
    far = DisplacementField.of_rigid(RigidTransform.of((0.0, 0.0, 400.0)), GRID)
    with pytest.raises(EngineError, match="do not meet"):
        quality_of(scan, scan, far, start=STILL)
