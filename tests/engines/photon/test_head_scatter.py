"""Head scatter as fluence of its own, softer depths off the axis: against closed forms, point by point, transposed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.photon.beam_model import BeamModel, load_beam_model, save_beam_model
from engines.photon.beamfit.sources import head_scatter
from engines.photon.dose import DoseOperator, point_geometry
from engines.photon.frame import beam_frame
from engines.photon.head_scatter import HeadScatter
from engines.photon.raster import Raster, raster_for
from engines.photon.superposition.model import ExtraFocal

from .test_grid_dose import assert_point_by_point, rough
from .test_transpose import assert_maps_transposed, assert_transposed
from .water import centred_grid, rectangle

HEAD = ExtraFocal(weight=0.08, sigma_mm=28.0, distance_mm=125.0, collimator_mm=450.0)
WIDE = raster_for((-250, 250, -250, 250), (-200, 200, -100, 100), 2.0, reach_mm=60.0)
SUMMED_IN_SQUARES = 1e-4
"""Of the open fluence: the aperture is summed over squares of a quarter of the blur's sigma."""


@pytest.fixture(scope="module")
def headed(model: BeamModel) -> BeamModel:
    """A beam with everything: a profile, softer rays off the axis, an extra-focal source."""
    radius = np.array([0.0, 100.0, 300.0])
    return replace(
        model, softening=(6.0, -60.0), extra_focal=HEAD,
        profile_radius_mm=radius, profile_relative=np.array([1.0, 1.06, 1.1]),
    )  # fmt: skip


def flat(raster: Raster) -> np.ndarray:
    return np.ones((raster.nv, raster.nu), np.float32)


@pytest.mark.parametrize("half_mm", [(200.0, 100.0), (15.0, 20.0)])
def test_a_rectangles_head_scatter_is_the_closed_form(half_mm):
    x, y = half_mm
    opening = rectangle((-x, x), (-y, y))(WIDE)
    got = HeadScatter(HEAD, WIDE, 1000.0, flat(WIDE)).add(opening[None])[0] - (1 - HEAD.weight) * opening
    u, v = WIDE.u_mm[None, :], WIDE.v_mm[:, None]
    oblique = 1 + (u**2 + v**2) / 1000.0**2
    expected = HEAD.weight * head_scatter(u, v, half_mm, HEAD, 1000.0) * oblique
    assert np.abs(got - expected).max() < SUMMED_IN_SQUARES


def test_at_the_edge_of_a_wide_field_most_of_the_source_is_seen():
    """What a kernel cannot do: it would show half of it at any edge."""
    edge = head_scatter(np.array([200.0]), np.zeros(1), (200.0, 200.0), HEAD, 1000.0)[0]
    opening = rectangle((-200, 200), (-200, 200))(WIDE)
    added = HeadScatter(HEAD, WIDE, 1000.0, flat(WIDE)).add(opening[None])[0] - (1 - HEAD.weight) * opening
    row, column = int(np.argmin(np.abs(WIDE.v_mm))), int(np.argmin(np.abs(WIDE.u_mm - 200.0)))
    assert edge > 0.75
    assert added[row, column] / HEAD.weight / 1.04 == pytest.approx(edge, abs=0.02)


def test_head_scatter_is_not_weighed_by_the_profile():
    horns = np.asarray(1 + np.hypot(WIDE.u_mm, WIDE.v_mm[:, None]) / 1000, np.float32)
    opening = rectangle((-80, 80), (-80, 80))(WIDE)[None]
    with_horns, without = (HeadScatter(HEAD, WIDE, 1000.0, p).add(opening) for p in (horns, flat(WIDE)))
    scattered = [added - (1 - HEAD.weight) * opening for added in (with_horns, without)]
    np.testing.assert_allclose(scattered[0] * horns, scattered[1], atol=1e-6)


@pytest.mark.parametrize("pitch_mm", [1.0, 2.5, 12.0])
def test_adjoint_of_maps_with_head_scatter(headed, pitch_mm):
    assert_maps_transposed(headed, pitch_mm)


def test_adjoint_of_the_operator_with_head_scatter(headed):
    rng, frame = np.random.default_rng(4), beam_frame((0, 0, 0), 40)
    points = rng.uniform(-60, 60, (500, 3)).astype(np.float32)
    raster = raster_for((-70, 70, -70, 70), (-30, 30, -30, 30), 2.5, reach_mm=60.0)
    geometry = point_geometry(headed, frame, points, rng.uniform(5, 200, 500).astype(np.float32))[None]
    operator = DoseOperator(headed, raster, geometry, (900.0,))
    x = rng.uniform(0, 1, (1, raster.nv, raster.nu)).astype(np.float32)
    y = rng.uniform(-1, 1, 500).astype(np.float32)
    assert_transposed(operator.forward(x), y, x, operator.adjoint(y))


def test_off_the_axis_a_depth_counts_for_a_longer_one(model, headed):
    """150 mm beside the axis at the isocentre plane: t = 0.15, depths count 1 + 6 t^2 - 60 t^4 times."""
    frame, beside = beam_frame((0, 0, 0), 0), np.array([[150.0, 0.0, 0.0]], np.float32)
    longer = 1 + 6 * 0.15**2 - 60 * 0.15**4
    soft = point_geometry(headed, frame, beside, np.array([100.0], np.float32))
    plain = point_geometry(model, frame, beside, np.array([100.0 * longer], np.float32))
    np.testing.assert_allclose(soft, plain, rtol=2e-6)
    axis = np.zeros((1, 3), np.float32)
    same = (point_geometry(m, frame, axis, np.array([100.0], np.float32)) for m in (model, headed))
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize("gantry", [0, 73, 215])
def test_whole_grids_are_softened_as_points_are(headed, gantry):
    grid = centred_grid((24, 20, 22), (12.0, 9.0, 12.0))
    assert_point_by_point(headed, rough(grid), beam_frame((0, 0, 0), gantry), np.ones(grid.shape, bool))


def test_written_means_read_back(headed, tmp_path):
    save_beam_model(headed, tmp_path / "copy.json")
    again = load_beam_model(tmp_path / "copy.json")
    assert (again.softening, again.extra_focal) == (headed.softening, HEAD)
