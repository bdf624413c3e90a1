"""Complexity of apertures drawn by hand, each figure worked out beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.delivery import Shapes, combined, complexity
from engines.errors import EngineError

BORDERS = np.array([-10.0, 0.0, 10.0])
WIDE = (-200.0, 200.0, -200.0, 200.0)


def shapes(mu, left, right, borders=BORDERS, jaws=None) -> Shapes:
    n = len(mu)
    edges = np.array([WIDE] * n if jaws is None else jaws, float)
    return Shapes(np.array(mu, float), np.array(left, float), np.array(right, float), np.array(borders, float), edges)


def still(*segments, borders=BORDERS) -> Shapes:
    """Step and shoot: (MU, left, right) of each segment."""
    mu, left, right, total = [], [], [], 0.0
    for own, a, b in segments:
        for step in (0.0, own):
            total += step
            mu.append(total)
            left.append(a)
            right.append(b)
    return shapes(mu, left, right, borders)


def test_an_open_rectangle_is_as_simple_as_can_be():
    made = complexity(still((100, [-20, -20], [20, 20])))
    assert (made.mcs, made.modulation, made.leaf_travel_mm, made.ltmcs) == (1.0, 0.0, 0.0, 1.0)
    # 40 x 20 mm: area 800, side edges 2 x 40 = 80, ends 4 x 10 = 40
    assert made.area_mm2 == 800.0
    assert made.edge_per_mm == pytest.approx(80 / 800)
    assert made.irregularity == pytest.approx(120**2 / (4 * np.pi * 800))
    assert made.small_share == (0.0, 0.0, 0.0, 0.0)


def test_mcs_of_two_segments_by_hand():
    """Segment 1: openings 40 and 40 of the widest 40 and 40: AAV 1, leaves in line: LSV 1. Segment 2: openings 20 and
    10: AAV 30/80. Three pairs would leave freedom; with two pairs that differ a bank's one step is its whole span, so
    its part is 0: LSV 0. MCS = 60/100 * 1 + 40/100 * 0."""
    made = complexity(still((60, [-20, -20], [20, 20]), (40, [-10, 0], [10, 10])))
    assert made.mcs == pytest.approx(0.6 + 0.4 * 0.0)
    in_line = complexity(still((60, [-20, -20], [20, 20]), (40, [-10, -10], [10, 10])))
    assert in_line.mcs == pytest.approx(0.6 * 1 + 0.4 * (40 / 80))
    # both banks move 10 mm each, all four leaves: mean travel 10 mm; LTMCS = MCS (1 - 10/1000)
    assert in_line.leaf_travel_mm == pytest.approx(10.0)
    assert in_line.ltmcs == pytest.approx(0.8 * 0.99)


def test_leaf_sequence_variability_of_four_pairs_by_hand():
    """Left tips 0, 10, 0, 10: span 10, three steps of 10: (10-10)*3/(3*10) = 0. Right tips 40, 40, 30, 40: span 10,
    steps 0, 10, 10: (10+0+0)/30 = 1/3. Left tips all 0 instead: 1, so LSV = 1/3 and AAV = 1."""
    borders = [0, 5, 10, 15, 20]
    zigzag = complexity(still((100, [0, 10, 0, 10], [40, 40, 30, 40]), borders=borders))
    assert zigzag.mcs == pytest.approx(0.0)
    one_bank = complexity(still((100, [0, 0, 0, 0], [40, 40, 30, 40]), borders=borders))
    assert one_bank.mcs == pytest.approx(1 / 3)


def test_a_moving_beam_counts_the_means_of_its_control_points():
    """MCSv: a window that shrinks from 40 to 20 mm in one interval: AAV (1 + 0.5) / 2, LSV 1."""
    made = complexity(shapes([0, 100], [[-20, -20], [-10, -10]], [[20, 20], [10, 10]]))
    assert made.mcs == pytest.approx(0.75)
    assert made.area_mm2 == pytest.approx(30 * 20)


def test_modulation_compares_the_mean_area_with_that_of_all_together():
    """Two halves side by side: mean 400 of 800 mm2. Overlapping by half: mean 400 of 600."""
    apart = complexity(still((50, [-20, -20], [0, 0]), (50, [0, 0], [20, 20])))
    assert apart.modulation == pytest.approx(1 - 400 / 800)
    lapped = complexity(still((50, [-20, -20], [0, 0]), (50, [-10, -10], [10, 10])))
    assert lapped.modulation == pytest.approx(1 - 400 / 600)


def test_the_edge_metric_counts_sides_that_a_neighbour_does_not_share():
    """Rows 0..40 and 20..60: 40 each, 20 shared: sides 40 + (80 - 40) + 40 = 120 over 800 mm2."""
    made = complexity(still((10, [0, 20], [40, 60])))
    assert made.edge_per_mm == pytest.approx(120 / 800)


def test_small_gaps_are_counted_by_width():
    """Pairs of 1.5, 4 and 30 mm: below 2 mm 1/3, below 5 and 10 mm 2/3, below 20 mm 2/3."""
    made = complexity(still((10, [0, 0, 0], [1.5, 4.0, 30.0]), borders=[0, 5, 10, 15]))
    assert made.small_share == pytest.approx((1 / 3, 2 / 3, 2 / 3, 2 / 3))


def test_jaws_close_what_lies_behind_them():
    """The lower row lies behind the Y jaw, the upper is cut at x = 5 and at half its height: 25 x 5 mm."""
    jaws = [(-20.0, 5.0, 5.0, 100.0)] * 2
    made = complexity(shapes([0, 10], [[-20, -20]] * 2, [[20, 20]] * 2, jaws=jaws))
    assert made.area_mm2 == pytest.approx(25 * 5)
    assert made.mcs == 1.0


def test_a_plan_weighs_its_beams_by_monitor_units():
    simple = complexity(still((100, [-20, -20], [20, 20])))
    other = complexity(still((60, [-20, -20], [20, 20]), (40, [-10, -10], [10, 10])))
    made = combined([simple, other], [300.0, 100.0])
    assert made.mcs == pytest.approx((300 * 1.0 + 100 * 0.8) / 400)
    assert made.area_mm2 == pytest.approx((300 * 800 + 100 * (0.6 * 800 + 0.4 * 400)) / 400)


def test_rounding_does_not_bend_a_straight_bank():
    straight = complexity(still((100, [-20, -20, -20], [20, 20, 20]), borders=[0, 5, 10, 15]))
    rounded = complexity(still((100, [-20, -20, -20 + 1e-12], [20, 20, 20]), borders=[0, 5, 10, 15]))
    assert rounded.mcs == pytest.approx(straight.mcs, abs=1e-9)


@pytest.mark.parametrize(
    "beam", [still((0, [-20, -20], [20, 20])), still((10, [0, 0], [0, 0]))], ids=["no monitor units", "closed"]
)
def test_what_has_no_aperture_has_no_complexity(beam):
    with pytest.raises(EngineError):
        complexity(beam)
    with pytest.raises(EngineError):
        combined([], [])


# Tenths of a millimetre, as leaves are sent: LSV jumps where tips stop being in line.
tips = st.lists(st.integers(-500, 500).map(lambda tenths: tenths / 10), min_size=4, max_size=4)


@settings(max_examples=60, deadline=None)
@given(segments=st.lists(st.tuples(st.floats(1, 50), tips, tips), min_size=1, max_size=6), shift=st.floats(-20, 20))
def test_scores_stay_in_their_ranges_and_do_not_depend_on_where_the_field_lies(segments, shift):
    segments = [(mu, a, [x + 2 + abs(y) for x, y in zip(a, b, strict=True)]) for mu, a, b in segments]
    borders = [0, 5, 10, 15, 20]
    made = complexity(still(*segments, borders=borders))
    assert 0 <= made.ltmcs <= made.mcs <= 1 + 1e-12
    assert -1e-9 <= made.modulation < 1
    assert made.irregularity >= 1 and made.edge_per_mm > 0
    moved = [(mu, [x + shift for x in a], [x + shift for x in b]) for mu, a, b in segments]
    far = complexity(still(*moved, borders=borders))
    assert far.mcs == pytest.approx(made.mcs, abs=1e-6)
    assert far.edge_per_mm == pytest.approx(made.edge_per_mm, rel=1e-6)
    mirrored = [(mu, [-x for x in b], [-x for x in a]) for mu, a, b in segments]
    assert complexity(still(*mirrored, borders=borders)).mcs == pytest.approx(made.mcs, abs=1e-9)
