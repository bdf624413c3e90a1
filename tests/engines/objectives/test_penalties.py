"""Penalties: hand cases, one-sidedness, and gradients against finite differences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import EngineError
from engines.objectives import (
    DvhMax,
    DvhMin,
    Falloff,
    Geud,
    MeanDose,
    Penalty,
    SquaredDeviation,
    SquaredDifference,
    SquaredOverdose,
    SquaredUnderdose,
)
from engines.objectives.falloff import falloff_limit_gy

DOSE = np.array([10, 20, 30, 40], np.float32)
EQUAL = np.full(4, 0.25, np.float32)
UNEQUAL = np.array([0.1, 0.2, 0.3, 0.4], np.float32)


def f32(*values: float):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("penalty", "value", "gradient"),
    [
        # 0.1 * 15^2 + 0.2 * 5^2 + 0.3 * 5^2 + 0.4 * 15^2 = 22.5 + 5 + 7.5 + 90
        (SquaredDeviation(25), 125.0, (2 * 0.1 * -15, 2 * 0.2 * -5, 2 * 0.3 * 5, 2 * 0.4 * 15)),
        # 0.1 * 2^2 + 0.2 * 0^2 + 0.3 * 5^2 + 0.4 * 10^2 = 0.4 + 7.5 + 40
        (SquaredDifference(f32(12, 20, 25, 50)), 47.9, (2 * 0.1 * -2, 0, 2 * 0.3 * 5, 2 * 0.4 * -10)),
        (SquaredOverdose(25), 97.5, (0, 0, 3, 12)),
        (SquaredUnderdose(25), 27.5, (-3, -2, 0, 0)),
        # mean = 1 + 4 + 9 + 16 = 30
        (MeanDose(26), 16.0, (0.8, 1.6, 2.4, 3.2)),
        (Falloff(f32(5, 25, 25, 40)), 0.1 * 25 + 0.3 * 25, (1, 0, 3, 0)),
        # a = 1 is the mean; a = 2: sqrt(10 + 80 + 270 + 640) = sqrt(1000)
        (Geud(26, 1), 16.0, (0.8, 1.6, 2.4, 3.2)),
        (
            Geud(30, 2),
            (1000**0.5 - 30) ** 2,
            tuple(
                2 * (1000**0.5 - 30) * w * d / 1000**0.5 for w, d in zip(UNEQUAL.tolist(), DOSE.tolist(), strict=True)
            ),
        ),
        # a = -1, the harmonic mean: 1 / (0.01 + 0.01 + 0.01 + 0.01) = 25
        (Geud(27, -1), 4.0, tuple(-4 * 625 * w / d**2 for w, d in zip(UNEQUAL.tolist(), DOSE.tolist(), strict=True))),
        # The hottest 40 % may exceed: D40% = 40 Gy stays counted, as the point that marks the volume.
        (DvhMax(25, 40), 97.5, (0, 0, 3, 12)),
        # Half may exceed: D50% = 30 Gy, the 40 Gy point is let go.
        (DvhMax(25, 50), 7.5, (0, 0, 3, 0)),
        # 95 % must reach 25 Gy: D95% = 10 Gy, nothing is let go.
        (DvhMin(25, 95), 27.5, (-3, -2, 0, 0)),
        # 80 % must: D80% = 20 Gy, the coldest 10 % are let go.
        (DvhMin(25, 80), 5.0, (0, -2, 0, 0)),
    ],
    ids=lambda p: str(p) if isinstance(p, float | int) else type(p).__name__,
)
def test_by_hand(penalty, value, gradient):
    got, slope = penalty(DOSE, UNEQUAL)
    assert got == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(slope, gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("penalty", "doses"),
    [
        (SquaredOverdose(50), DOSE),
        (SquaredUnderdose(5), DOSE),
        (MeanDose(50), DOSE),
        (Geud(50, 8), DOSE),
        (Geud(5, -10), DOSE),
        (DvhMax(50, 10), DOSE),
        (DvhMin(5, 95), DOSE),
        (Falloff(f32(10, 20, 30, 40)), DOSE),
        (DvhMax(35, 40), DOSE - np.float32(6)),
        (SquaredDeviation(10), f32(10, 10, 10, 10)),
        (SquaredDifference(DOSE.copy()), DOSE),
    ],
    ids=lambda p: type(p).__name__,
)
def test_a_goal_that_is_met_costs_and_pulls_nothing(penalty, doses):
    value, slope = penalty(doses, EQUAL)
    assert value == 0
    assert not slope.any()


doses = st.lists(st.floats(5, 80, width=32), min_size=2, max_size=12)
PENALTIES: dict[str, Penalty] = {
    "deviation": SquaredDeviation(37.0),
    "overdose": SquaredOverdose(31.0),
    "underdose": SquaredUnderdose(43.0),
    "mean": MeanDose(22.0),
    "geud 1": Geud(20.0, 1),
    "geud 8": Geud(25.0, 8),
    "geud -10": Geud(45.0, -10),
    "DVH max": DvhMax(27.0, 35.0),
    "DVH min": DvhMin(48.0, 90.0),
}


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_gradient_against_finite_differences(name, data):
    penalty = PENALTIES[name]
    dose = np.array(data.draw(doses), np.float32)
    share = np.array(data.draw(st.lists(st.floats(0.05, 1), min_size=dose.size, max_size=dose.size)))
    weight = (share / share.sum()).astype(np.float32)
    # DVH points jump where two doses change places; spread ties out beyond the step.
    order = np.argsort(np.argsort(dose, kind="stable"), kind="stable")
    dose = (dose + order * 0.37).astype(np.float32)
    _, slope = penalty(dose, weight)
    step = np.float32(2.0**-5)  # exact in float32
    for i in range(dose.size):
        up, down = dose.copy(), dose.copy()
        up[i] += step
        down[i] -= step
        measured = (penalty(up, weight)[0] - penalty(down, weight)[0]) / float(up[i] - down[i])
        kink = 2 * float(step) * float(weight[i])  # second derivative jumps by 2 w where a one-sided term switches
        assert measured == pytest.approx(float(slope[i]), rel=2e-2, abs=kink + 2e-2)


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=40, deadline=None)
@given(values=doses, seed=st.integers(0, 1000))
def test_the_order_of_the_voxels_does_not_matter(name, values, seed):
    penalty, dose = PENALTIES[name], np.array(values, np.float32)
    weight = np.random.default_rng(seed).uniform(0.1, 1, dose.size)
    weight = (weight / weight.sum()).astype(np.float32)
    order = np.random.default_rng(seed + 1).permutation(dose.size)
    value, slope = penalty(dose, weight)
    again, shuffled = penalty(dose[order], weight[order])
    # Equal doses at a DVH point's border are one group only if weights add up in the same order to float32.
    if np.unique(dose).size == dose.size:
        assert again == pytest.approx(value, rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(shuffled, slope[order], rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(values=doses, percent=st.floats(1, 99))
def test_dvh_points_let_at_most_their_share_go(values, percent):
    dose = np.array(values, np.float32)
    weight = np.full(dose.size, 1 / dose.size, np.float32)
    _, down = DvhMax(0.0, percent)(dose, weight)  # every point is above 0 Gy: what has no slope was let go
    assert weight[down == 0].sum() <= percent / 100 + 1e-5
    _, up = DvhMin(100.0, percent)(dose, weight)  # every point is below 100 Gy
    assert weight[up == 0].sum() <= 1 - percent / 100 + 1e-5
    # What is let go is the hottest, or the coldest, part.
    if (down == 0).any():
        assert dose[down == 0].min() >= dose[down != 0].max()
    if (up == 0).any():
        assert dose[up == 0].max() <= dose[up != 0].min()


@settings(max_examples=60, deadline=None)
@given(values=doses)
def test_geud_lies_between_the_extremes_and_grows_with_its_exponent(values):
    dose = np.array(values, np.float32)
    weight = np.full(dose.size, 1 / dose.size, np.float32)
    geud = [Geud(0.0, a)(dose, weight)[0] ** 0.5 for a in (1, 2, 8, 40)]
    assert geud[0] == pytest.approx(float(dose.mean()), rel=1e-4)
    assert all(b >= a * (1 - 1e-5) for a, b in pairwise(geud))
    assert geud[-1] <= dose.max() * (1 + 1e-5)
    low = 100 - Geud(100.0, -40)(dose, weight)[0] ** 0.5
    assert float(dose.min()) * (1 - 1e-4) <= low <= float(dose.mean()) * (1 + 1e-4)


@pytest.mark.parametrize("exponent", [-200.0, -40.0, 1.0, 40.0, 300.0])
def test_geud_stays_finite_at_cold_and_empty_voxels(exponent):
    value, slope = Geud(30.0, exponent)(f32(0, 0, 70, 35), EQUAL)
    assert np.isfinite(value)
    assert np.all(np.isfinite(slope))
    if exponent < 0:
        assert value == pytest.approx(30.0**2, rel=0.01)  # two voxels without dose: the target's gEUD is nothing
        assert slope.min() < 0


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.999])
def test_geud_refuses_exponents_that_mean_neither_organ_nor_target(exponent):
    with pytest.raises(EngineError, match="at least 1 or negative"):
        Geud(10.0, exponent)


def test_falloff_limit_by_hand():
    limit = falloff_limit_gy(f32(0, 4, 14, 1000), 50.0, start_mm=4, start=0.98, end=0.4, per_mm=0.05)
    expected = [49.0, 49.0, 50 * (0.4 + 0.58 * np.exp(-0.5)), 20.0]
    np.testing.assert_allclose(limit, expected, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_gradient_of_the_difference_from_another_dose_against_finite_differences(data):
    dose = np.array(data.draw(doses), np.float32)
    drawn = st.lists(st.floats(0, 80, width=32), min_size=dose.size, max_size=dose.size)
    penalty = SquaredDifference(np.array(data.draw(drawn), np.float32))
    weight = np.full(dose.size, 1 / dose.size, np.float32)
    _, slope = penalty(dose, weight)
    step = np.float32(2.0**-3)
    for i in range(dose.size):
        up, down = dose.copy(), dose.copy()
        up[i] += step
        down[i] -= step
        measured = (penalty(up, weight)[0] - penalty(down, weight)[0]) / float(up[i] - down[i])
        assert measured == pytest.approx(float(slope[i]), rel=2e-2, abs=2e-2)


def test_a_reference_of_other_points_is_refused():
    with pytest.raises(EngineError, match="3 points for 4"):
        SquaredDifference(f32(1, 2, 3))(DOSE, EQUAL)
