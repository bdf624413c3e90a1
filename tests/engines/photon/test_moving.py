"""Fluence of moving leaves: against many still apertures, hand-made ramps, and finite differences of every variable."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.photon.aperture import ApertureFluence, Apertures
from engines.photon.beam_model import Collimation
from engines.photon.leaf_rows import leaf_rows
from engines.photon.moving import MovingFluence, Trajectory
from engines.photon.raster import Raster

RASTER = Raster(-48.75, -28.75, 2.5, 40, 24)
BORDERS = np.arange(-20.0, 21.0, 5.0)
PLAIN = Collimation(0.016, 0.001, 0.7)
JAW_Y = (-20.0, 20.0)


def path_of(seed: int, pairs: int = 8, points: int = 4) -> Trajectory:
    rng = np.random.default_rng(seed)
    left = rng.uniform(-30, 10, (points, pairs))
    right = left + rng.uniform(0.5, 25, (points, pairs))
    x = np.stack([left.min(axis=1) - 2, right.max(axis=1) + 2], axis=1)
    return Trajectory(left, right, x, rng.uniform(0.5, 3.0, points - 1))


def together(seed: int) -> Trajectory:
    """All leaves move alike, so none crosses its neighbour: where they do, a strip's edge is taken as straight."""
    path = path_of(seed)
    way = np.array([[0.0], [14.0], [-3.0], [-9.0]])
    left, right = path.left_mm[:1] + way, path.right_mm[:1] + way
    return Trajectory(left, right, path.x_mm[:1] + way, path.mu)


def stepped(path: Trajectory, k: int, steps: int) -> Apertures:
    part = ((np.arange(steps) + 0.5) / steps)[:, None]
    left, right = (e[k] + (e[k + 1] - e[k]) * part for e in (path.left_mm, path.right_mm))
    x = path.x_mm[k] + (path.x_mm[k + 1] - path.x_mm[k]) * part
    jaws = np.concatenate([x, np.broadcast_to(JAW_Y, (steps, 2))], axis=1)
    return Apertures(left, right, jaws, np.full(steps, path.mu[k] / steps))


@pytest.mark.parametrize("groove_mm", [0.0, 0.6])
def test_a_moving_interval_is_the_sum_of_many_still_apertures(groove_mm):
    path = path_of(1) if not groove_mm else together(1)
    collimation = Collimation(0.016, 0.001, 0.7, groove_mm)
    moving = MovingFluence(RASTER, (BORDERS,), collimation, y_mm=JAW_Y).forward(path)
    still = ApertureFluence(RASTER, BORDERS, collimation)
    for k in range(3):
        np.testing.assert_allclose(moving[k], still.forward(stepped(path, k, 400)), atol=4e-3)


def test_an_edge_that_sweeps_makes_a_ramp():
    """Left edge still at -40, right edge from -20 to 20: open 100 % of the time left of -20, 50 % at 0, 0 beyond 20."""
    collimation = Collimation(0.0, 0.0, 0.0)
    left, right = np.full((2, 1), -40.0), np.array([[-20.0], [20.0]])
    path = Trajectory(left, right, np.array([[-48.0, 48.0]] * 2), np.array([2.0]))
    layer = np.array([-20.0, 20.0])
    fluence = MovingFluence(RASTER, (layer,), collimation, y_mm=JAW_Y).forward(path)[0]
    middle = fluence[10]
    np.testing.assert_allclose(
        middle, 2.0 * np.where(RASTER.u_mm < -40, 0, np.clip((20 - RASTER.u_mm) / 40, 0, 1)), atol=1e-5
    )
    assert not fluence[0].any()


def numbered(path: Trajectory, name: str, index: tuple[int, ...], step: float) -> Trajectory:
    values = {n: getattr(path, n).copy() for n in ("left_mm", "right_mm", "x_mm", "mu")}
    values[name][index] += step
    return Trajectory(**values)


LAYERS = {
    "one layer": ((BORDERS,), PLAIN, 8),
    "tongue and groove": ((BORDERS,), Collimation(0.016, 0.001, 0.7, 0.8), 8),
    "two layers": ((BORDERS, BORDERS[:-1] + 2.5), Collimation(0.01, 0.001, 0.1), 15),
    "two layers with grooves": ((BORDERS, BORDERS[:-1] + 2.5), Collimation(0.01, 0.001, 0.1, 0.5), 15),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_gradient_against_finite_differences(kind):
    layers, collimation, pairs = LAYERS[kind]
    path = path_of(3, pairs)
    operator = MovingFluence(RASTER, layers, collimation, y_mm=JAW_Y)
    gradient = np.random.default_rng(4).normal(size=(3, RASTER.nv, RASTER.nu)).astype(np.float32)
    slope = operator.adjoint(path, gradient)
    step = 1e-2
    rng = np.random.default_rng(5)
    for name in ("left_mm", "right_mm", "x_mm", "mu"):
        for _ in range(12):
            index = tuple(int(rng.integers(n)) for n in getattr(path, name).shape)
            up, down = (operator.forward(numbered(path, name, index, s)).astype(float) for s in (step, -step))
            expected = float(((up - down) * gradient).sum()) / (2 * step)
            assert getattr(slope, name)[index] == pytest.approx(expected, abs=6e-3), (name, index)


def test_a_strip_beside_a_closed_neighbour_is_shut():
    """Pair 0 open from -10 to 10, pair 1 closed far away: of pair 0's 5 mm only 5 - w/2 are open."""
    collimation = Collimation(0.0, 0.0, 0.0, 1.0)
    layer = np.array([-5.0, 0.0, 5.0])
    left, right = np.array([[-10.0, 30.0]] * 2), np.array([[10.0, 30.001]] * 2)
    path = Trajectory(left, right, np.array([[-48.0, 48.0]] * 2), np.array([1.0]))
    fluence = MovingFluence(RASTER, (layer,), collimation, y_mm=(-5.0, 5.0)).forward(path)[0]
    assert float(fluence.sum()) * 2.5**2 == pytest.approx(20.0 * 4.5, rel=1e-3)


def test_two_layers_multiply():
    """Transmission of one, of the other and of both: 1, t and t squared."""
    t = 0.1
    layer = np.array([-20.0, 20.0])
    left, right = np.array([[-20.0, -5.0]] * 2), np.array([[5.0, 20.0]] * 2)
    path = Trajectory(left, right, np.array([[-40.0, 40.0]] * 2), np.array([1.0]))
    operator = MovingFluence(RASTER, (layer, layer), Collimation(t, 0.0, 0.0), y_mm=JAW_Y)
    row = operator.forward(path)[0][10]
    at = {x: float(row[np.argmin(np.abs(RASTER.u_mm - x))]) for x in (-30.0, -11.25, 1.25, 13.75, 30.0, 46.25)}
    assert list(at.values()) == pytest.approx([t * t, t, 1.0, t, t * t, 0.0], abs=1e-6)


def test_rows_of_pairs_that_never_open_may_be_left_out():
    """Inactive pairs of two layers wait at opposite ends, each before the gap of the other: between them nothing opens,
    and a gap that one layer alone covers lets its leaf transmission through."""
    layers, collimation, pairs = LAYERS["two layers"]
    path = path_of(3, pairs)
    active = np.arange(pairs) % 8 > 2
    for tips, gap in ((path.left_mm, 0.0), (path.right_mm, 0.5)):
        tips[:, ~active] = np.where(np.arange(pairs) < 8, -60.0, 59.5)[~active] + gap
    every, some = (
        MovingFluence(RASTER, layers, collimation, y_mm=JAW_Y, active=which).forward(path) for which in (None, active)
    )
    t = collimation.leaf_transmission
    most = t * (1 - t) * (0.5 + 2 * collimation.leaf_offset_mm) / RASTER.pitch_mm
    assert np.abs(every - some).max() <= 2 * most * float(path.mu.max())
    assert MovingFluence(RASTER, layers, collimation, y_mm=JAW_Y, active=active).rows.low_mm.size < pairs * 4


def test_three_layers_are_refused():
    with pytest.raises(EngineError, match="3 layers"):
        leaf_rows((BORDERS,) * 3, PLAIN)
