"""Apertures on the raster: hand-drawn fluences, and the gradient against finite differences for leaves, jaws and MU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import EngineError
from engines.photon.aperture import ApertureFluence, Apertures
from engines.photon.beam_model import Collimation
from engines.photon.raster import Raster

BOUNDS = np.array([-20.0, -10.0, 0.0, 10.0, 20.0])
BLACK = Collimation(leaf_transmission=0.0, jaw_transmission=0.0, leaf_offset_mm=0.0)
REAL = Collimation(leaf_transmission=0.02, jaw_transmission=0.005, leaf_offset_mm=0.6)
RASTER = Raster(u0_mm=-49.5, v0_mm=-29.5, pitch_mm=1.0, nu=100, nv=60)


def one(left, right, jaws, mu=1.0) -> Apertures:
    return Apertures(np.array([left], float), np.array([right], float), np.array([jaws], float), np.array([mu], float))


WIDE = (-40.0, 40.0, -20.0, 20.0)


def at(fluence, u_mm: float, v_mm: float) -> float:
    return float(fluence[round(v_mm + 29.5), round(u_mm + 49.5)])


def test_leaves_cut_the_rectangle_that_they_say():
    fluence = ApertureFluence(RASTER, BOUNDS, BLACK).forward(one([-5] * 4, [7] * 4, WIDE))
    expected = np.zeros_like(fluence)
    expected[10:50, 45:57] = 1.0  # v -20..20, u -5..7
    np.testing.assert_allclose(fluence, expected, atol=1e-6)


def test_each_leaf_pair_has_its_own_row():
    fluence = ApertureFluence(RASTER, BOUNDS, BLACK).forward(one([-5, -5, 3, 0], [7, -2, 8, 0], WIDE))
    assert [at(fluence, 5.5, v) for v in (-15.5, -5.5, 5.5, 15.5)] == [1, 0, 1, 0]
    assert fluence.sum(dtype=float) == pytest.approx((12 + 3 + 5 + 0) * 10)


def test_a_tip_inside_a_pixel_covers_its_share():
    fluence = ApertureFluence(RASTER, BOUNDS, BLACK).forward(one([-5.25] * 4, [7.4] * 4, WIDE))
    assert at(fluence, -5.5, 0.5) == pytest.approx(0.25, abs=1e-6)
    assert at(fluence, 7.5, 0.5) == pytest.approx(0.4, abs=1e-6)


def test_a_leaf_border_inside_a_pixel_covers_its_share():
    coarse = Raster(u0_mm=-48.0, v0_mm=-28.0, pitch_mm=4.0, nu=25, nv=15)  # borders at multiples of 4 less 30
    fluence = ApertureFluence(coarse, BOUNDS, BLACK).forward(one([-50, -50, 0, 0], [50, 50, 0, 0], (-40, 40, -20, 20)))
    column = fluence[:, 12]
    # v pixels centred at -28, -24, -20, ...: the one at -20 spans -22..-18, half of it open; 0 spans -2..2, half.
    np.testing.assert_allclose(column[:9], [0, 0, 0.5, 1, 1, 1, 1, 0.5, 0], atol=1e-6)


def test_the_radiation_edge_lies_behind_the_tip():
    collimation = replace(BLACK, leaf_offset_mm=0.6)
    fluence = ApertureFluence(RASTER, BOUNDS, collimation).forward(one([-5] * 4, [7] * 4, WIDE))
    assert fluence.sum(dtype=float) == pytest.approx((12 + 2 * 0.6) * 40, rel=1e-6)
    assert at(fluence, -5.5, 0.5) == pytest.approx(0.6, abs=1e-6)


def test_transmission_inside_and_outside_the_jaws():
    fluence = ApertureFluence(RASTER, BOUNDS, REAL).forward(one([-5] * 4, [7] * 4, (-30, 30, -20, 20), mu=10.0))
    assert at(fluence, 0.5, 0.5) == pytest.approx(10.0)  # open
    assert at(fluence, 20.5, 0.5) == pytest.approx(10 * 0.02)  # under a leaf
    assert at(fluence, 40.5, 0.5) == pytest.approx(10 * 0.005)  # under a jaw
    assert at(fluence, 0.5, 25.5) == pytest.approx(10 * 0.005)


def test_a_closed_pair_transmits_only_through_its_leaves():
    fluence = ApertureFluence(RASTER, BOUNDS, REAL).forward(one([0] * 4, [0] * 4, (-30, 30, -20, 20)))
    np.testing.assert_allclose(fluence[10:50, 20:80], 0.02, atol=1e-7)


def test_a_leaf_behind_a_jaw_opens_nothing_beyond_the_jaw():
    inside = ApertureFluence(RASTER, BOUNDS, REAL).forward(one([-30] * 4, [7] * 4, (-12, 9, -20, 20)))
    assert at(inside, -12.5, 0.5) == pytest.approx(0.005)
    assert at(inside, -11.5, 0.5) == pytest.approx(1.0)


@pytest.mark.parametrize(("y1", "y2"), [(-10.0, 10.0), (-13.5, 4.25)])
def test_y_jaws_across_open_leaves_cut_the_field(y1, y2):
    fluence = ApertureFluence(RASTER, BOUNDS, BLACK).forward(one([-5] * 4, [7] * 4, (-40, 40, y1, y2)))
    assert fluence.sum(dtype=float) == pytest.approx(12 * (y2 - y1), rel=1e-5)


def test_a_field_without_leaves_is_what_the_jaws_leave():
    no_mlc = ApertureFluence(RASTER, np.array([-500.0, 500.0]), REAL)
    fluence = no_mlc.forward(one([-500], [500], (-12, 9, -7, 15)))
    assert at(fluence, 0.5, 0.5) == pytest.approx(1.0)
    assert at(fluence, 10.5, 0.5) == pytest.approx(0.005)
    assert (fluence - 0.005).sum(dtype=float) == pytest.approx(21 * 22 * 0.995, rel=1e-4)


def random_apertures(seed: int, segments: int = 3) -> Apertures:
    """Open, closed and jaw-covered leaf pairs; away from pixel borders, where the merit has kinks."""
    rng = np.random.default_rng(seed)
    left = np.floor(rng.uniform(-25, 5, (segments, 4))) + 0.37
    right = left + np.floor(rng.uniform(3, 20, (segments, 4))) + 0.21
    closed = rng.random((segments, 4)) < 0.2
    right = np.where(closed, left, right)
    x1 = np.floor(rng.uniform(-30, -12, segments)) + 0.43
    x2 = np.floor(rng.uniform(8, 30, segments)) + 0.77
    jaws = np.stack([x1, x2, np.full(segments, -20.0), np.full(segments, 20.0)], axis=1)
    return Apertures(left, right, jaws, rng.uniform(1, 9, segments))


@pytest.mark.parametrize("seed", range(6))
def test_gradient_against_finite_differences(seed):
    drawer = ApertureFluence(RASTER, BOUNDS, REAL)
    apertures = random_apertures(seed)
    slope = np.random.default_rng(seed + 50).normal(size=(60, 100)).astype(np.float32)

    def merit(a: Apertures) -> float:
        return float(np.vdot(drawer.forward(a).astype(np.float64), slope))

    gradient = drawer.adjoint(apertures, slope)
    is_open = apertures.right_mm > apertures.left_mm
    step = 0.05
    for name, active in (
        ("left_mm", is_open),
        ("right_mm", is_open),
        ("jaws_mm", np.broadcast_to([True, True, False, False], apertures.jaws_mm.shape)),
        ("mu", np.ones(3, bool)),
    ):
        values, by_value = getattr(apertures, name), getattr(gradient, name)
        for index in zip(*np.nonzero(active), strict=True):
            up, down = values.copy(), values.copy()
            up[index] += step
            down[index] -= step
            measured = (merit(replace(apertures, **{name: up})) - merit(replace(apertures, **{name: down}))) / (
                2 * step
            )
            if name == "jaws_mm":  # a jaw across an open leaf also cuts what the leaf opened: not part of this gradient
                cuts = _jaw_cuts(apertures, index, REAL.leaf_offset_mm)
                if cuts:
                    continue
            assert by_value[index] == pytest.approx(measured, abs=2e-3 * max(1.0, np.abs(by_value).max())), (
                name,
                index,
            )


def _jaw_cuts(a: Apertures, index: tuple[int, int], offset: float) -> bool:
    segment, jaw = index
    edge = a.jaws_mm[segment, jaw]
    is_open = a.right_mm[segment] > a.left_mm[segment]
    within = (a.left_mm[segment] - offset <= edge + 0.1) & (a.right_mm[segment] + offset >= edge - 0.1)
    return bool((is_open & within).any())


def test_closed_pairs_and_covered_leaves_have_no_gradient():
    drawer = ApertureFluence(RASTER, BOUNDS, REAL)
    slope = np.ones((60, 100), np.float32)
    apertures = one([-30, -5, 0, -5], [7, 7, 0, 33], (-20, 20, -20, 20))
    gradient = drawer.adjoint(apertures, slope)
    assert gradient.left_mm[0, 0] == 0  # behind X1
    assert gradient.left_mm[0, 2] == gradient.right_mm[0, 2] == 0  # closed
    assert gradient.right_mm[0, 3] == 0  # behind X2
    # Opening a leaf 10 mm high by 1 mm opens 10 pixels by (1 - transmission).
    assert gradient.right_mm[0, 1] == pytest.approx(10 * (1 - 0.02), rel=1e-5)
    assert gradient.left_mm[0, 1] == pytest.approx(-10 * (1 - 0.02), rel=1e-5)


def test_there_is_no_gradient_where_y_jaws_cut_open_leaves():
    with pytest.raises(EngineError, match="Y jaws cut"):
        ApertureFluence(RASTER, BOUNDS, REAL).adjoint(
            one([-5] * 4, [7] * 4, (-20, 20, -15, 20)), np.ones((60, 100), np.float32)
        )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 5))
def test_fluence_is_linear_in_mu_and_segments_add_up(seed, factor):
    drawer = ApertureFluence(RASTER, BOUNDS, REAL)
    a = random_apertures(seed)
    total = drawer.forward(a)
    np.testing.assert_allclose(
        drawer.forward(replace(a, mu=a.mu * factor)), total * factor, rtol=1e-4, atol=1e-5 * factor
    )
    single = [
        drawer.forward(Apertures(*(x[i : i + 1] for x in (a.left_mm, a.right_mm, a.jaws_mm, a.mu)))) for i in range(3)
    ]
    np.testing.assert_allclose(sum(single), total, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_opening_a_leaf_never_lowers_fluence_and_fluence_stays_in_range(seed):
    drawer = ApertureFluence(RASTER, BOUNDS, REAL)
    a = random_apertures(seed)
    fluence = drawer.forward(a)
    assert fluence.min() >= 0.005 * a.mu.sum() * (1 - 1e-5)
    assert fluence.max() <= a.mu.sum() * (1 + 1e-5)
    is_open = a.right_mm > a.left_mm
    wider = drawer.forward(replace(a, right_mm=a.right_mm + 2.5 * is_open))
    assert (wider - fluence).min() >= -1e-5 * a.mu.sum()


def test_mirrored_leaves_give_the_mirrored_fluence():
    drawer = ApertureFluence(RASTER, BOUNDS, REAL)
    a = random_apertures(4)
    x1, x2, y1, y2 = a.jaws_mm.T
    mirrored = Apertures(-a.right_mm, -a.left_mm, np.stack([-x2, -x1, y1, y2], axis=1), a.mu)
    np.testing.assert_allclose(drawer.forward(mirrored), drawer.forward(a)[:, ::-1], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_beams_drawn_together_are_what_each_is_alone(seed):
    """Also where they have different numbers of segments, or one has none."""
    drawer = ApertureFluence(RASTER, BOUNDS, REAL)
    a = random_apertures(seed)
    none = Apertures(*(x[:0] for x in (a.left_mm, a.right_mm, a.jaws_mm, a.mu)))
    beams = [a, none, one([-5] * 4, [7] * 4, WIDE, mu=3.0)]
    together = drawer.draw(beams)
    np.testing.assert_allclose(together.fluence(), [drawer.forward(beam) for beam in beams], atol=1e-5)
    slopes = np.random.default_rng(seed).normal(size=(3, RASTER.nv, RASTER.nu)).astype(np.float32)
    for beam, slope, found in zip(beams, slopes, together.adjoint(slopes), strict=True):
        alone = drawer.adjoint(beam, slope)
        for name in ("left_mm", "right_mm", "jaws_mm", "mu"):
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name), rtol=1e-4, atol=1e-4)
