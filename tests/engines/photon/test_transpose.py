"""The dose operator and its parts are linear, and each adjoint is the exact transpose: <A x, y> = <x, A^T y>."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.photon.convolution import KernelMaps
from engines.photon.dose import DoseOperator, point_geometry, projected_extent
from engines.photon.frame import beam_frame
from engines.photon.raster import raster_for

from .water import centred_grid, water

TRANSPOSE_TOLERANCE = 1e-5
"""float32 transforms and sums of about 10^5 terms."""


@pytest.fixture(scope="module")
def operator(model) -> DoseOperator:
    """Three beams through a small water box, all voxels."""
    grid = centred_grid((21, 17, 13), (6.0, 6.0, 6.0))
    medium = water(grid)
    points = grid.centres_mm(np.arange(grid.size))
    frames = [beam_frame((4.0, -3.0, 2.0), angle, couch_deg=couch) for angle, couch in ((0, 0), (73, 0), (250, 20))]
    raster = raster_for(projected_extent(frames, points), (-40, 40, -30, 30), 2.5, reach_mm=100.0)
    geometry = np.stack([point_geometry(model, f, points, medium.depth_mm(f, points)) for f in frames])
    return DoseOperator(model, raster, geometry, tuple(medium.ssd_mm(f) for f in frames))


def fluence_for(operator: DoseOperator, seed: int):
    shape = (operator.geometry.shape[0], operator.raster.nv, operator.raster.nu)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def doses_for(operator: DoseOperator, seed: int):
    return np.random.default_rng(seed).uniform(-1, 1, operator.geometry.shape[1]).astype(np.float32)


def inner(a, b) -> float:
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64)))


def assert_transposed(forward_x, y, x, adjoint_y) -> None:
    """Relative to the norms, so that an accidental near-orthogonality does not matter."""
    scale = np.linalg.norm(forward_x.astype(np.float64)) * np.linalg.norm(y.astype(np.float64))
    assert abs(inner(forward_x, y) - inner(x, adjoint_y)) <= TRANSPOSE_TOLERANCE * scale


@pytest.mark.parametrize("seed", range(4))
def test_adjoint_of_the_dose_operator(operator, seed):
    x, y = fluence_for(operator, seed), doses_for(operator, seed + 100)
    assert_transposed(operator.forward(x), y, x, operator.adjoint(y))


def test_adjoint_entry_by_entry(operator):
    # A single pixel's dose at one point must be that point's gradient at the pixel.
    dose_at = 1234
    unit = np.zeros(operator.geometry.shape[1], np.float32)
    unit[dose_at] = 1.0
    row = operator.adjoint(unit)
    for beam, v, u in ((0, 40, 50), (1, 55, 44), (2, 48, 60)):
        pixel = np.zeros_like(row)
        pixel[beam, v, u] = 1.0
        assert operator.forward(pixel)[dose_at] == pytest.approx(row[beam, v, u], abs=1e-5 * float(np.abs(row).max()))


def assert_maps_transposed(model, pitch_mm):
    raster = raster_for((-60, 60, -50, 50), (-30, 30, -20, 20), pitch_mm, reach_mm=80.0)
    maps = KernelMaps(model, raster, (900.0, 850.0))
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (2, raster.nv, raster.nu)).astype(np.float32)
    y = rng.uniform(-1, 1, (2, raster.nv, raster.nu, 4)).astype(np.float32)
    y[..., 3] = 0  # the pad
    assert_transposed(maps.forward(x), y, x, maps.adjoint(y))


@pytest.mark.parametrize("pitch_mm", [1.0, 2.5])
def test_adjoint_of_the_kernel_maps(model, pitch_mm):
    assert_maps_transposed(model, pitch_mm)


def test_the_pad_of_the_maps_is_never_read(model):
    raster = raster_for((-30, 30, -30, 30), (-20, 20, -20, 20), 2.5, reach_mm=60.0)
    maps = KernelMaps(model, raster, (900.0,))
    pad_only = np.zeros((1, raster.nv, raster.nu, 4), np.float32)
    pad_only[..., 3] = 7.0
    assert not maps.adjoint(pad_only).any()
    assert not maps.forward(np.ones((1, raster.nv, raster.nu), np.float32))[..., 3].any()


def test_dose_is_linear_in_fluence(operator):
    x, y = np.abs(fluence_for(operator, 1)), np.abs(fluence_for(operator, 2))
    together = operator.forward(2 * x + np.float32(0.5) * y)
    apart = 2 * operator.forward(x) + np.float32(0.5) * operator.forward(y)
    np.testing.assert_allclose(together, apart, atol=1e-5 * together.max())
    assert not operator.forward(np.zeros_like(x)).any()


def test_beams_add_up(operator):
    x = np.abs(fluence_for(operator, 5))
    single = [operator.forward(np.where(np.arange(3)[:, None, None] == b, x, np.float32(0))) for b in range(3)]
    total = operator.forward(x)
    np.testing.assert_allclose(total, sum(single), atol=1e-5 * total.max())
    assert min(float(s.max()) for s in single) > 0


def test_an_operator_can_be_used_in_any_order(operator):
    # Forward and adjoint share one buffer: what one leaves there must not leak into the other.
    x, y = fluence_for(operator, 8), doses_for(operator, 9)
    dose, gradient = operator.forward(x), operator.adjoint(y)
    assert np.array_equal(operator.forward(x), dose)
    assert np.array_equal(operator.adjoint(y), gradient)


def test_one_and_two_threads_give_the_same_dose(model, operator):
    one = DoseOperator(model, operator.raster, operator.geometry, (900.0,) * 3, threads=1)
    two = DoseOperator(model, operator.raster, operator.geometry, (900.0,) * 3, threads=2)
    x, y = fluence_for(operator, 11), doses_for(operator, 12)
    assert np.array_equal(one.forward(x), two.forward(x))
    assert np.array_equal(one.adjoint(y), two.adjoint(y))


def test_a_larger_raster_changes_nothing(model):
    """The cyclic convolution is exact: more room around field and points gives the same dose."""
    grid = centred_grid((15, 15, 15), (8.0, 8.0, 8.0))
    medium, frame = water(grid), beam_frame((0, 0, 0), 30)
    points = grid.centres_mm(np.arange(grid.size))
    geometry = point_geometry(model, frame, points, medium.depth_mm(frame, points))[None]
    reach = float(model.kernels[0].radius_mm[-1])
    doses = []
    for room in (0.0, 60.0):
        extent = np.array(projected_extent([frame], points)) + room * np.array([-1, 1, -1, 1])
        raster = raster_for(tuple(extent), (-30, 30, -30, 30), 2.5, reach_mm=reach + room)
        inside = (np.abs(raster.v_mm)[:, None] < 30) & (np.abs(raster.u_mm)[None] < 30)
        doses.append(DoseOperator(model, raster, geometry, (900.0,)).forward(inside[None].astype(np.float32)))
    np.testing.assert_allclose(doses[0], doses[1], atol=2e-6 * doses[0].max())


def test_wrong_shapes_are_refused_in_words(model, operator):
    with pytest.raises(EngineError, match=r"geometry must be \(beams, n, 5\)"):
        DoseOperator(model, operator.raster, operator.geometry[0], (900.0,))
    with pytest.raises(EngineError, match="fluence must be"):
        operator.forward(np.zeros((2, 5, 5), np.float32))


def test_points_a_kilometre_away_are_refused():
    with pytest.raises(EngineError, match="too far from the beam axis"):
        raster_for((-10, 10, -10, 10), (-5e6, 5, -5, 5), 1.0, reach_mm=100.0)
