"""Released energy: rows of voxels against points traced one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.photon import _kernels
from engines.photon.calibrate import square_field
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.raster import Raster
from engines.photon.superposition.model import Contamination, ExtraFocal, SuperpositionModel
from engines.photon.superposition.terma import (
    DEPTH_STEP_MM,
    NEAR_MM,
    RAMP_MM,
    Head,
    depth_tables,
    head_maps,
    near_and_far,
)

from .cases import box, dose, point_source, square

RASTER = Raster(-89.0, -79.0, 2.0, 90, 80)
MODEL = point_source(
    softening_per_deg=(0.01, 0.002, -0.0001),
    extra_focal=ExtraFocal(0.07, 25.0, 125.0, 450.0),
    contamination=Contamination(0.1, 0.07, 60.0),
)


def slab_in_water() -> Medium:
    medium = box((70.0, 60.0, 50.0), 5.0)
    medium.density[:, 8:14] = 0.3
    medium.density[:, :, :3] = 0.0
    return medium


def head(gantry_deg: float, model: SuperpositionModel = MODEL, **angles: float) -> Head:
    frame = beam_frame((3.0, -2.0, 5.0), gantry_deg, **angles)
    maps = head_maps(model, RASTER, square_field(RASTER, 60.0), frame.sad_mm, sampling_mm=5.0)
    return Head(model, frame, RASTER, maps, depth_tables(model))


def by_points(head: Head, medium: Medium) -> np.ndarray:
    """(3, z, y, x), from the kernel that takes any points."""
    index = np.flatnonzero(medium.density > 0)
    points = np.ascontiguousarray(medium.grid.centres_mm(index), np.float32)
    out = np.zeros((index.size, 3), np.float32)
    frame, raster, extra = head.frame, head.raster, head.model.extra_focal
    _kernels.release_energy(
        points, medium.depth_mm(frame, points),
        [list(frame.isocentre_mm), frame.ex.tolist(), frame.ey.tolist(), frame.ez.tolist()], frame.sad_mm, head.maps,
        [raster.u0_mm, raster.v0_mm, raster.pitch_mm], head.tables,
        [*MODEL.softening_per_deg, extra.distance_mm if extra else 0.0, 0.07, DEPTH_STEP_MM], out, 1,
    )  # fmt: skip
    whole = np.zeros((3, *medium.grid.shape), np.float32)
    whole.reshape(3, -1)[:, index] = out.T
    return whole


def by_rows(head: Head, medium: Medium) -> np.ndarray:
    into = tuple(np.zeros(medium.grid.shape, np.float32) for _ in range(3))
    head.release(medium, into)
    return np.stack(into)


@pytest.mark.parametrize(
    "angles",
    [(0.0, {}), (90.0, {}), (47.0, {"collimator_deg": 30.0, "couch_deg": 20.0}), (200.0, {"couch_deg": 85.0})],
)
def test_rows_release_what_points_release(angles):
    gantry_deg, others = angles
    medium, beam = slab_in_water(), head(gantry_deg, **others)
    rows, points = by_rows(beam, medium), by_points(beam, medium)
    assert points[:, medium.density > 0].max(axis=1).min() > 0.005
    np.testing.assert_allclose(rows, points, atol=1e-4 * float(points.max()))
    assert not rows[:, medium.density == 0].any()


def test_a_source_beside_the_matter_is_traced_point_by_point():
    """Rows would be too steep there; the answer is the same."""
    medium = slab_in_water()
    near = head(0.0, replace(MODEL, extra_focal=None), sad_mm=75.0)
    assert by_rows(near, medium).max() > 0.02
    np.testing.assert_array_equal(by_rows(near, medium), by_points(near, medium))


def test_near_and_far_add_up_and_neither_has_an_edge():
    """Near the field all is near, RAMP_MM further out all is far; no step between neighbouring nodes above their
    share of the ramp."""
    maps = head_maps(point_source(), RASTER, square_field(RASTER, 60.0), 1000.0, sampling_mm=2.0) + np.float32(1)
    (part, near), far = near_and_far(RASTER, maps, (-30.0, 30.0, -30.0, 30.0))
    whole = np.zeros_like(maps)
    column, row = (
        round((p - a) / RASTER.pitch_mm) for p, a in ((part.u0_mm, RASTER.u0_mm), (part.v0_mm, RASTER.v0_mm))
    )
    whole[row : row + part.nv, column : column + part.nu] = near
    np.testing.assert_allclose(whole + far, maps, atol=1e-6)
    u, v = np.abs(RASTER.u_mm)[None, :], np.abs(RASTER.v_mm)[:, None]
    beside = np.maximum(u, v) - 30.0
    assert not far[beside <= NEAR_MM].any()
    assert not whole[beside >= NEAR_MM + RAMP_MM].any()
    assert part.nu * part.nv < RASTER.nu * RASTER.nv
    steps = np.abs(np.diff(far[..., 1], axis=1))
    assert steps.max() < 2.2 * RASTER.pitch_mm / RAMP_MM


def test_a_field_with_head_scatter_is_the_same_on_one_grid_and_on_two():
    """What lies far from the field goes by the coarse grid: with a coarse grid as fine as the other, all is one."""
    medium = box((70.0, 70.0, 70.0), 2.5)
    model = point_source(extra_focal=ExtraFocal(0.08, 25.0, 125.0, 450.0), source_fwhm_mm=3.0)
    one, two = (dose(medium, square(20.0), model=model, scatter_mm=mm) for mm in (2.5, 6.0))
    assert np.abs(one - two).max() < 0.012 * one.max()
    assert np.sqrt(np.mean((one - two) ** 2)) < 0.002 * one.max()
