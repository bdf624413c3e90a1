"""What a beam asks on its way, each figure worked out beside it."""

from __future__ import annotations

import numpy as np
import pytest

from engines.delivery import complexity, sweep
from engines.errors import EngineError
from tests.engines.delivery.test_complexity import still

MU = np.array([0.0, 10.0, 10.0, 40.0])
GANTRY = np.array([0.0, 2.0, 10.0, 12.0])
LEAVES = np.array([[0.0, 5.0, 9.0], [4.0, 5.0, 9.0], [50.0, 5.0, 9.0], [50.0, 11.0, 9.0]])
SECONDS = np.array([1.0, 3.0, 2.0])


def test_figures_per_control_arc_and_degree_by_hand():
    """Two control arcs have dose: 10 and 30 MU over 2 degrees each; the move between them counts nowhere. Leaf 1 moves
    4 mm in the first, leaf 2 6 mm in the second, leaf 3 never: mean travel (4 + 6) / 2 = 5 mm over 4 degrees."""
    made = sweep(MU, GANTRY, LEAVES)
    assert (made.control_arcs, made.arc_deg) == (2, 4.0)
    assert made.mu_per_control_arc == pytest.approx(20.0)
    assert made.mu_per_deg == pytest.approx(10.0)
    assert made.leaf_travel_mm_per_deg == pytest.approx(1.25)
    assert made.dose_rate_mu_min is None and made.leaf_speed_mm_s is None


def test_speeds_count_each_control_arc_by_its_seconds():
    """Dose rate: 10 MU in 1 s and 30 MU in 2 s: mean 40/3 MU/s = 800 MU/min; rates 600 and 900, deviation sqrt((1 200^2
    + 2 100^2) / 3) = sqrt(20000). Gantry: 2 deg in 1 s and 2 in 2 s: mean 4/3 deg/s, deviation sqrt((1 (2/3)^2 + 2
    (1/3)^2) / 3) = sqrt(2/9). Leaves (the two that move): mean step 2 mm in 1 s, 3 mm in 2 s: mean 5/3 mm/s, deviation
    sqrt((1 (1/3)^2 + 2 (1/6)^2) / 3) = sqrt(1/18)."""
    made = sweep(MU, GANTRY, LEAVES, SECONDS)
    rate, gantry, leaves = made.dose_rate_mu_min, made.gantry_speed_deg_s, made.leaf_speed_mm_s
    assert (rate.mean, rate.deviation) == pytest.approx((800.0, np.sqrt(20000.0)))
    assert (gantry.mean, gantry.deviation) == pytest.approx((4 / 3, np.sqrt(2 / 9)))
    assert (leaves.mean, leaves.deviation) == pytest.approx((5 / 3, np.sqrt(1 / 18)))


def test_a_gantry_that_stands_has_no_figure_per_degree():
    made = sweep(np.array([0.0, 50.0]), np.zeros(2), np.zeros((2, 4)), np.array([5.0]))
    assert made.mu_per_deg is None and made.leaf_travel_mm_per_deg is None and made.leaf_speed_mm_s is None
    assert made.dose_rate_mu_min.mean == pytest.approx(600.0)


def test_an_arc_backwards_asks_for_the_same():
    there = sweep(MU, GANTRY, LEAVES, SECONDS)
    assert sweep(MU, -GANTRY, LEAVES, SECONDS) == there


def test_a_time_that_no_machine_reaches_gives_no_speeds():
    assert sweep(MU, GANTRY, LEAVES, np.array([1.0, 1.0, np.inf])).dose_rate_mu_min is None


@pytest.mark.parametrize("mu", [np.zeros(4), np.arange(3.0)], ids=["no dose", "another number"])
def test_what_is_no_beam_is_refused(mu):
    with pytest.raises(EngineError):
        sweep(mu, GANTRY, LEAVES)


def test_the_mean_gap_counts_apertures_by_monitor_units():
    """60 MU through gaps of 40 and 40, 40 MU through gaps of 20 and a closed pair: 0.6 40 + 0.4 20 = 32 mm."""
    made = complexity(still((60, [-20, -20], [20, 20]), (40, [-10, 0], [10, 0])))
    assert made.gap_mm == pytest.approx(32.0)
