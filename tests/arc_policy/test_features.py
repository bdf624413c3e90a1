"""What the network of arcs sees: no unit, the same mirrored, and answers that lead where they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.planning.leaf_paths import PathLimits, violation_mm
from appliance.planning.moving_field import FieldLimits
from appliance.planning.moving_vector import FieldPath
from models.arc_policy.features import CHANNELS, answer, features, mirror, moved, way_down
from models.arc_policy.system import brought_within

WINDOW_MM = np.array([(-80.0, 90.0), (-80.0, 90.0)])
LIMITS = FieldLimits(PathLimits(1.0, 6.0, (-80.0, 90.0), (-80.0, 90.0), 150.0, (5,), False), 0.5, 9.0)


def arc(seed: int, points: int = 8, pairs: int = 5) -> FieldPath:
    random = np.random.default_rng(seed)
    left = random.uniform(-60.0, 20.0, (points, pairs))
    return FieldPath(left, left + random.uniform(1.0, 40.0, left.shape), random.uniform(0.5, 4.0, points - 1))


def slopes(seed: int) -> FieldPath:
    random = np.random.default_rng(seed)
    return FieldPath(*(random.normal(size=(8, 5)) for _ in range(2)), random.normal(size=7))


def exchanged(path: FieldPath) -> FieldPath:
    return FieldPath(-path.right_mm, -path.left_mm, path.mu)


@given(st.integers(0, 2**20))
def test_a_mirrored_arc_is_seen_mirrored(seed):
    order, signs = mirror()
    seen = features(arc(seed), slopes(seed + 1), WINDOW_MM, 50.0)
    other = features(exchanged(arc(seed)), exchanged(slopes(seed + 1)), -WINDOW_MM[::-1, ::-1], 50.0)
    assert other == pytest.approx(seen[order] * signs[:, None, None], abs=1e-5)


@given(st.integers(0, 2**20), st.floats(1e-3, 1e3))
def test_a_merit_in_another_unit_looks_the_same_but_for_the_channel_that_tells_it(seed, unit):
    slope = slopes(seed + 1)
    scaled = FieldPath(*(unit * part for part in (slope.left_mm, slope.right_mm, slope.mu)))
    one, other = features(arc(seed), slope, WINDOW_MM, 5.0), features(arc(seed), scaled, WINDOW_MM, 5.0 * unit)
    rest = [place for place, name in enumerate(CHANNELS) if name != "merit"]
    assert other[rest] == pytest.approx(one[rest], abs=1e-4)


@given(st.integers(0, 2**20))
def test_an_answer_leads_where_it_was_read_off(seed):
    start, target = arc(seed), arc(seed + 1)
    near = FieldPath(
        start.left_mm + np.clip(target.left_mm - start.left_mm, -30, 30), start.right_mm - 3.0, start.mu * 1.5
    )
    found = moved(start, *answer(start, near))
    assert found.left_mm == pytest.approx(near.left_mm, abs=1e-4)
    assert found.right_mm == pytest.approx(near.right_mm, abs=1e-4)
    assert found.mu == pytest.approx(near.mu, rel=1e-5)


@given(st.integers(0, 2**20), st.floats(0.0, 30.0))
def test_whatever_is_answered_becomes_legal(seed, size):
    random = np.random.default_rng(seed)
    leaves, log_mu = size * random.normal(size=(2, 8, 5)), size * random.normal(size=7)
    found = brought_within(moved(arc(seed), leaves.astype(np.float32), log_mu.astype(np.float32)), LIMITS)
    assert violation_mm(found.left_mm, found.right_mm, LIMITS.paths) <= 1e-9
    assert LIMITS.least_mu <= found.mu.min() and found.mu.max() <= LIMITS.most_mu


def test_the_way_down_goes_against_the_slope_and_does_not_care_for_its_size():
    slope = slopes(3)
    way, length = way_down(arc(2), slope, 10.0)
    assert float((way.left_mm * slope.left_mm).sum()) < 0
    twice, half = way_down(arc(2), FieldPath(*(2 * p for p in (slope.left_mm, slope.right_mm, slope.mu))), 20.0)
    assert twice.mu == pytest.approx(way.mu) and half == pytest.approx(length)


def test_no_slope_is_no_way():
    nothing = FieldPath(np.zeros((8, 5)), np.zeros((8, 5)), np.zeros(7))
    seen = features(arc(1), nothing, WINDOW_MM, 0.0)
    assert np.isfinite(seen).all()
    assert not seen[CHANNELS.index("by_left")].any() and not seen[CHANNELS.index("way_left")].any()
