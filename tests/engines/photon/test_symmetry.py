"""What must hold of dose whatever the kernels are: mirror image, rotation with the phantom, translation, scaling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.photon.beam_model import BeamModel
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame

from .water import centred_grid, field_dose, water

SYMMETRY_TOLERANCE = 2e-5
"""Relative to the maximum: float32 sums in another order."""


def lumpy(seed: int = 2) -> Medium:
    """A cube with a rough density, as different from its mirror image as can be."""
    grid = centred_grid((21, 21, 21), (6.0, 6.0, 6.0))
    return Medium(grid, np.random.default_rng(seed).uniform(0.2, 1.6, grid.shape).astype(np.float32))


def assert_same(got, expected) -> None:
    np.testing.assert_allclose(got, expected, atol=SYMMETRY_TOLERANCE * float(expected.max()))


def test_mirrored_patient_and_field_give_the_mirrored_dose(model):
    medium = lumpy()
    dose = field_dose(model, medium, beam_frame((0, 0, 0), 30), (-20, 35), (-15, 40))
    mirrored = Medium(medium.grid, np.ascontiguousarray(medium.density[:, :, ::-1]))
    # x -> -x turns gantry 30 into 330 and the field's X around.
    other = field_dose(model, mirrored, beam_frame((0, 0, 0), 330), (-35, 20), (-15, 40))
    assert_same(other[:, :, ::-1], dose)
    assert abs(other - dose).max() > 0.1 * dose.max()


def test_mirror_image_head_to_feet(model):
    medium = lumpy()
    dose = field_dose(model, medium, beam_frame((0, 0, 0), 75), (-20, 35), (-15, 40))
    mirrored = Medium(medium.grid, np.ascontiguousarray(medium.density[::-1]))
    assert_same(field_dose(model, mirrored, beam_frame((0, 0, 0), 75), (-20, 35), (-40, 15))[::-1], dose)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_gantry_and_patient_together_turns_the_dose(model, turns):
    medium = lumpy()
    dose = field_dose(model, medium, beam_frame((0, 0, 0), 20), (-20, 35), (-15, 40))
    # Gantry +90 takes the source from anterior (-y) to left (+x): in the arrays (z, y, x) a turn from y to x.
    turned = Medium(medium.grid, np.ascontiguousarray(np.rot90(medium.density, -turns, axes=(1, 2))))
    other = field_dose(model, turned, beam_frame((0, 0, 0), 20 + 90 * turns), (-20, 35), (-15, 40))
    assert_same(np.rot90(other, turns, axes=(1, 2)), dose)


@pytest.mark.parametrize("gantry_deg", [17.0, 45.0, 118.0])
def test_a_cylinder_looks_the_same_from_every_side(model, gantry_deg):
    grid = centred_grid((61, 61, 5), (3.0, 3.0, 3.0))
    x, y, _ = grid.axes_mm()
    # Share of each voxel inside the cylinder of 85 mm radius, to a tenth of a voxel.
    fine = (np.arange(10) - 4.5) / 10 * 3.0
    inside = np.hypot(x[:, None, None, None] + fine[:, None], y[:, None, None] + fine) < 85.0
    share = inside.mean(axis=(2, 3)).T.astype(np.float32)
    medium = Medium(grid, np.ascontiguousarray(np.broadcast_to(share, grid.shape)))

    def along_axis(angle: float):
        frame = beam_frame((0, 0, 0), angle)
        depth_mm = np.array([-60.0, -30.0, 0.0, 30.0, 60.0])
        points = np.concatenate([d * -frame.ez + side * frame.ex for d in depth_mm for side in [0.0]]).reshape(-1, 3)
        aside = points + 15.0 * frame.ex
        return at_points(model, medium, angle, np.concatenate([points, aside]).astype(np.float32))

    reference = along_axis(0.0)
    # The voxels' edges make the cylinder's surface rough by a fraction of a millimetre: about 0.1 % of dose.
    np.testing.assert_allclose(along_axis(gantry_deg), reference, atol=0.002 * float(reference.max()))


def at_points(model: BeamModel, medium: Medium, gantry_deg: float, points):
    from engines.photon.dose import BeamDose, box_corners_mm, projected_extent

    from .water import rectangle

    frame = beam_frame((0, 0, 0), gantry_deg)
    extent = projected_extent([frame], box_corners_mm(medium.grid))
    field = (-30.0, 30.0, -30.0, 30.0)
    engine = BeamDose(
        model, medium, frame, rectangle((-30, 30), (-30, 30)), points_extent_mm=extent, field_extent_mm=field
    )
    return engine.at(points)


def test_moving_patient_and_isocentre_together_changes_nothing(model):
    medium = lumpy()
    dose = field_dose(model, medium, beam_frame((5, 0, -3), 40), (-20, 35), (-15, 40))
    shift = np.array([123.0, -77.0, 312.0])
    moved = Medium(replace(medium.grid, origin_mm=tuple(medium.grid.origin_mm + shift)), medium.density)
    other = field_dose(model, moved, beam_frame(tuple(np.array([5.0, 0, -3]) + shift), 40), (-20, 35), (-15, 40))
    # float32 coordinates of some 400 mm carry 3e-5 mm; a voxel on a border may round to the other side.
    np.testing.assert_allclose(other, dose, atol=2e-4 * float(dose.max()))


@pytest.mark.parametrize("collimator_deg", [90.0, 180.0, 270.0])
def test_turning_the_collimator_turns_the_field(model, collimator_deg):
    medium = lumpy()
    frame = beam_frame((0, 0, 0), 40, collimator_deg=collimator_deg)
    u, v = (-20.0, 35.0), (-15.0, 40.0)
    dose = field_dose(model, medium, frame, u, v)
    # The same opening stated in the unturned collimator's axes: X_b' = Y_b at 90, -X_b at 180, -Y_b at 270.
    same = {90.0: ((-40.0, 15.0), u), 180.0: ((-35.0, 20.0), (-40.0, 15.0)), 270.0: (v, (-35.0, 20.0))}[collimator_deg]
    assert_same(field_dose(model, medium, beam_frame((0, 0, 0), 40), *same), dose)


def test_denser_tissue_in_front_means_less_dose_behind_it(model):
    grid = centred_grid((21, 41, 21), (5.0, 5.0, 5.0))
    light, dense = np.ones(grid.shape, np.float32), np.ones(grid.shape, np.float32)
    light[:, 10:15], dense[:, 10:15] = 0.3, 1.8
    frame = beam_frame((0, 0, 0), 0)
    doses = [
        field_dose(model, Medium(grid, d), frame, (-20, 20), (-20, 20))[10, :, 10]
        for d in (light, np.ones(1), dense)
        if d.size > 1
    ]
    np.testing.assert_allclose(doses[0][:10], doses[1][:10], rtol=1e-5)  # in front nothing changes
    # 25 mm by (1.8 - 0.3): the depth behind differs by 37.5 mm everywhere.
    assert np.all(doses[0][15:] > 1.1 * doses[1][15:])


def test_dose_falls_with_the_square_of_the_distance(model):
    """The same depth and field at the point, twice as far from the source by another isocentre: r^-2 and the field's
    own growth remain. Checked on the depth factors alone: u = v = 0, same depth."""
    from engines.photon.dose import point_geometry

    frame = beam_frame((0, 0, 0), 0)
    points = np.array([[0, -200, 0], [0, 0, 0], [0, 300, 0]], np.float32)
    geometry = point_geometry(model, frame, points, np.full(3, 80.0, np.float32))
    distance = np.array([800.0, 1000.0, 1300.0])
    factors = geometry[:, 2:] * (distance[:, None] / 1000.0) ** 2
    expected = model.depth_factors(np.array([80.0]))[:, 0]
    np.testing.assert_allclose(factors, np.broadcast_to(expected, (3, 3)), rtol=2e-5)


def test_nothing_is_deposited_behind_the_source_or_before_the_surface(model):
    grid = centred_grid((5, 21, 5), (10.0, 10.0, 10.0))
    density = np.ones(grid.shape, np.float32)
    density[:, :5] = 0
    dose = field_dose(model, Medium(grid, density), beam_frame((0, 0, 0), 0), (-20, 20), (-20, 20))
    assert not dose[:, :5].any()
    assert dose[2, 5:, 2].min() > 0
    from engines.photon.dose import point_geometry

    behind = np.array([[0, -1001, 0], [0, -3000, 0]], np.float32)
    assert not point_geometry(model, beam_frame((0, 0, 0), 0), behind, np.zeros(2, np.float32)).any()


def test_water_of_half_density_and_twice_the_thickness_has_the_same_depth_factors(model):
    thin, thick = centred_grid((9, 20, 9), (5.0, 5.0, 5.0)), centred_grid((9, 40, 9), (5.0, 5.0, 5.0))
    frame = beam_frame((0, 0, 0), 0)
    end = [np.array([[0, g.origin_mm[1] + (g.shape[1] - 0.5) * 5.0 - 1e-3, 0]], np.float32) for g in (thin, thick)]
    a = water(thin).depth_mm(frame, end[0])
    b = water(thick, 0.5).depth_mm(frame, end[1])
    assert a[0] == pytest.approx(100.0, abs=5e-3)
    assert b[0] == pytest.approx(a[0], abs=5e-3)
