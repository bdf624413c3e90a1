"""The radiobiology engines against hand-derived limits and published numbers."""

import numpy as np
import pytest

from engines.errors import EngineError
from engines.radiobiology import (
    DoseHistogram,
    bed,
    dose_of_eqd2,
    eqd2,
    eqd2_of_bed,
    generalised_eud,
    latin_hypercube,
    lkb_probability,
    log_logistic_probability,
    logistic_probability,
    poisson_lq_control,
    proliferation_bed,
    recovered,
    two_piece_normal,
)


@pytest.mark.parametrize(
    ("dose_gy", "fractions", "ratio_gy", "bed_gy"),
    [
        (50, 25, 2, 100),  # Nieder et al., Int J Radiat Oncol Biol Phys 66:1446 (2006), abstract
        (50, 25, 4, 75),  # ibid.
        (60, 30, 10, 72),  # Fowler, Br J Radiol 62:679 (1989): the standard schedule
        (60, 30, 3, 100),  # ibid., late reactions
    ],
)
def test_published_biologically_effective_doses(dose_gy, fractions, ratio_gy, bed_gy):
    assert float(bed(dose_gy, fractions, ratio_gy)) == pytest.approx(bed_gy)
    assert float(eqd2_of_bed(bed_gy, ratio_gy)) == pytest.approx(dose_gy)


def test_hypofractionation_by_hand():
    # 20 Gy in 5 fractions, alpha/beta 2: 20 (4 + 2) / 4 = 30; 14 Gy at once: 14 (14 + 2) / 4 = 56
    assert float(eqd2(20, 5, 2)) == pytest.approx(30)
    assert float(eqd2(14, 1, 2)) == pytest.approx(56)


def test_eqd2_of_two_gray_fractions_is_the_dose_and_each_voxel_has_its_own_fraction_size():
    dose_gy = np.array([0.0, 10.0, 30.0, 60.0])
    converted = eqd2(dose_gy, 30, 3.0)
    assert converted[-1] == pytest.approx(60)
    assert converted[1] == pytest.approx(10 * (10 / 30 + 3) / 5)  # well below 2 Gy a fraction: less effect
    assert np.all(np.diff(converted) > 0)
    assert dose_of_eqd2(converted, 30, 3.0) == pytest.approx(dose_gy)


def test_proliferation_takes_back_dose_only_after_it_kicks_off():
    assert float(proliferation_bed(20, alpha_per_gy=0.3, doubling_days=3, kick_off_days=28)) == 0
    assert float(proliferation_bed(39, alpha_per_gy=0.35, doubling_days=3, kick_off_days=28)) == pytest.approx(
        np.log(2) * 11 / (0.35 * 3)
    )


def test_recovery_is_a_share_of_the_earlier_effect():
    assert float(recovered(40.0, 0.25)) == pytest.approx(30)
    with pytest.raises(EngineError):
        recovered(40.0, 1.2)


def test_the_limits_of_the_equivalent_uniform_dose():
    rng = np.random.default_rng(1)
    dose_gy = rng.uniform(0, 70, 5000)
    histogram = DoseHistogram.of(dose_gy, np.full(5000, 0.01))
    assert histogram.volume_cc == pytest.approx(50, rel=1e-5)
    assert histogram.mean_gy == pytest.approx(dose_gy.mean(), abs=1e-4)
    mean = generalised_eud(histogram.dose_gy, histogram.share, 1.0)
    assert float(mean) == pytest.approx(dose_gy.mean(), rel=1e-5)
    serial = generalised_eud(histogram.dose_gy, histogram.share, 1e-4)
    assert float(serial) == pytest.approx(dose_gy.max(), abs=0.11)
    uniform = generalised_eud(np.array([40.0]), np.array([1.0]), 0.3)
    assert float(uniform) == pytest.approx(40)


def test_half_an_organ_by_hand():
    # Lyman's power law: dose D to half the organ equals D 0.5^n to the whole
    value = generalised_eud(np.array([0.0, 60.0]), np.array([0.5, 0.5]), 0.25)
    assert float(value) == pytest.approx(60 * 0.5**0.25, rel=1e-5)


def test_the_hottest_volume_of_a_histogram():
    histogram = DoseHistogram.of(np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 1.0, 1.0, 1.0]))
    assert histogram.hottest_gy(0.5) == pytest.approx(40)
    assert histogram.hottest_gy(1.5) == pytest.approx(30)
    assert histogram.hottest_gy(99) == pytest.approx(40)


def test_half_effect_at_the_median_dose_for_every_curve():
    assert float(lkb_probability(76.9, 76.9, 0.13)) == 0.5
    assert float(logistic_probability(30.75, 30.75, 0.126)) == 0.5
    assert float(log_logistic_probability(69.4, 69.4, 18.7)) == pytest.approx(0.5)
    assert float(log_logistic_probability(0.0, 69.4, 18.7)) < 1e-100


def test_parotid_rates_of_dijkema_2010():
    # Int J Radiat Oncol Biol Phys 78:449: mean doses of 25 to 30 Gy, 17 to 26 % (TD50 39.9 Gy, m 0.40)
    assert 100 * lkb_probability(np.array([25.0, 30.0]), 39.9, 0.40) == pytest.approx([17, 26], abs=1)


def test_pneumonitis_rates_of_quantec():
    # Marks et al. 2010 (summary table): mean lung dose and rate of symptomatic pneumonitis
    mean_gy = np.array([7.0, 13.0, 20.0, 24.0, 27.0])
    assert 100 * logistic_probability(mean_gy, 30.75, 0.126) == pytest.approx([5, 10, 20, 30, 40], abs=2)


def test_myelopathy_rates_of_schultheiss_2008():
    # Int J Radiat Oncol Biol Phys 71:1455: 0.03 % at 45 Gy, 0.2 % at 50 Gy, 5 % at 59.3 Gy
    rates = 100 * log_logistic_probability(np.array([45.0, 50.0, 59.3]), 69.4, 18.72)
    assert rates == pytest.approx([0.03, 0.2, 5.0], rel=0.1)


def test_one_surviving_clonogen_leaves_control_at_37_percent():
    # Munro and Gilbert, Br J Radiol 34:246 (1961): control is exp(-mean number of survivors)
    alpha, ratio = 0.3, 10.0
    survival = np.exp(-alpha * 60 * (1 + 2 / ratio))
    value = poisson_lq_control(
        np.array([60.0]), np.array([1.0]), 30, clonogens=1 / survival, alpha_per_gy=alpha, alpha_beta_gy=ratio
    )
    assert float(value) == pytest.approx(np.exp(-1))


def test_ten_million_clonogens_with_half_surviving_each_fraction():
    # 1e7 · 0.5^30 = 0.0093 survivors after 30 fractions: 99.07 %; half of them under a cold 50 Gy (25 fractions' worth)
    alpha = np.log(2) / 2
    warm = poisson_lq_control(
        np.array([60.0]), np.array([1.0]), 30, clonogens=1e7, alpha_per_gy=alpha, alpha_beta_gy=1e9
    )
    assert float(warm) == pytest.approx(np.exp(-1e7 * 0.5**30), rel=1e-6)
    cold = poisson_lq_control(
        np.array([50.0, 60.0]), np.array([0.5, 0.5]), 30, clonogens=1e7, alpha_per_gy=alpha, alpha_beta_gy=1e9
    )
    assert float(cold) == pytest.approx(np.exp(-0.5e7 * (0.5**25 + 0.5**30)), rel=1e-6)
    grown = poisson_lq_control(
        np.array([60.0]),
        np.array([1.0]),
        30,
        clonogens=1e7,
        alpha_per_gy=alpha,
        alpha_beta_gy=1e9,
        proliferation=np.log(2),
    )
    assert float(grown) == pytest.approx(float(warm) ** 2)  # one doubling: twice the survivors


def test_drawn_parameters_keep_the_published_interval():
    quantile = latin_hypercube(2000, 2, 7)
    for column in quantile.T:
        assert np.array_equal(np.sort((column * 2000).astype(int)), np.arange(2000))
    values = two_piece_normal(quantile[:, 0], 47.0, 41.0, 60.0)
    assert np.percentile(values, [2.5, 50, 97.5]) == pytest.approx([41, 47, 60], abs=0.2)
    assert np.array_equal(latin_hypercube(50, 3, 1), latin_hypercube(50, 3, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: eqd2(-1.0, 10, 3),
        lambda: eqd2(1.0, 0, 3),
        lambda: bed(1.0, 10, 0),
        lambda: lkb_probability(10.0, 0, 0.1),
        lambda: generalised_eud(np.array([1.0]), np.array([1.0]), 0.0),
        lambda: DoseHistogram.of(np.array([np.nan]), np.array([1.0])),
        lambda: DoseHistogram.of(np.array([]), np.array([])),
        lambda: two_piece_normal(np.array([0.5]), 5, 6, 7),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(EngineError):
        wrong()
