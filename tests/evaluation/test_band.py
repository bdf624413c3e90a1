"""A plan beside its bands: figures by hand, verdicts for organs and targets, and when a person is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import DvhCurve, Evaluation, Outcome, PredictedBand, Severity
from appliance.contracts.band import BandJudgement, Lies, Verdict
from appliance.errors import EvaluationError
from appliance.evaluation import evaluate, goal_set_for_site, scorecard
from appliance.evaluation.band import ORGAN_ID, TARGET_ID, band_findings, judge_bands

VOLUMES = np.array([99.0, 98, 50, 2, 1], np.float32)


def band(structure: str, low: float, middle: float, high: float) -> PredictedBand:
    """Level histograms: each part of the structure receives the same."""
    return PredictedBand(structure, VOLUMES, *(np.full(5, gy, np.float32) for gy in (low, middle, high)))


def curve(structure: str, gy: float) -> DvhCurve:
    return DvhCurve(structure, 10.0, gy, gy, gy, (0.0, gy, gy + 0.1), (100.0, 100.0, 0.0))


def judged(make_case, organ_gy: float, target_gy: float = 50.0) -> tuple[BandJudgement, ...]:
    curves = (curve("External", 5.0), curve("PTV", target_gy), curve("Core", organ_gy))
    bands = (band("Core", 18.0, 20.0, 22.0), band("PTV", 49.0, 50.0, 51.0), band("Larynx", 1.0, 2.0, 3.0))
    return judge_bands(make_case("PTV", "Core"), curves, bands)


def test_what_has_no_band_or_no_curve_is_left_out(make_case) -> None:
    assert [one.structure for one in judged(make_case, 20.0)] == ["PTV", "Core"]
    assert judge_bands(make_case("PTV"), (curve("PTV", 50.0),), ()) == ()


@pytest.mark.parametrize(
    ("gy", "verdict", "lies", "clear", "says"),
    [
        (20.0, Verdict.USUAL, Lies.WITHIN, False, "within what patients like this usually reach"),
        (22.5, Verdict.WORSE, Lies.ABOVE, False, "above what patients like this usually reach"),
        (24.5, Verdict.WORSE, Lies.ABOVE, True, "above what patients like this usually reach"),
        (15.0, Verdict.BETTER, Lies.BELOW, True, "spares more than is usual"),
    ],
)
def test_an_organ(make_case, gy: float, verdict: Verdict, lies: Lies, clear: bool, says: str) -> None:
    """The band is 18 to 22 Gy about 20: clear is beyond it by more than the 2 Gy from middle to bound."""
    organ = judged(make_case, gy)[1]
    assert (organ.verdict, organ.decided.lies, organ.decided.clear) == (verdict, lies, clear)
    assert organ.sentence.startswith(f"Core mean {gy:.1f} Gy; achievable 18.0 to 22.0 Gy: the plan ")
    assert says in organ.sentence
    assert organ.is_clearly_worse is (gy == 24.5)


@pytest.mark.parametrize(
    ("gy", "verdict", "metric"),
    [(50.0, Verdict.USUAL, "D98%"), (46.0, Verdict.WORSE, "D98%"), (55.0, Verdict.BETTER, "D98%")],
)
def test_a_target_is_judged_by_its_coldest_part(make_case, gy: float, verdict: Verdict, metric: str) -> None:
    target = judged(make_case, 20.0, gy)[0]
    assert (target.is_target, target.verdict, target.decided.metric) == (True, verdict, metric)


def test_a_hot_spot_alone_is_found(make_case) -> None:
    """Mean within, near-maximum 30 Gy against 22: that figure decides."""
    spot = DvhCurve("Core", 10.0, 20.0, 19.0, 31.0, (0.0, 19.0, 30.0, 31.0), (100.0, 100.0, 2.0, 0.0))
    (organ,) = judge_bands(make_case("Core"), (spot,), (band("Core", 18.0, 20.0, 22.0),))
    assert [figure.lies for figure in organ.figures] == [Lies.WITHIN, Lies.ABOVE]
    assert organ.decided.plan_gy == pytest.approx(30.0)
    assert "D2% 30.0 Gy" in organ.sentence


def test_findings_tell_but_never_stop(make_case) -> None:
    found = band_findings(judged(make_case, 30.0, 40.0), ())
    assert [one.id for one in found] == [ORGAN_ID, TARGET_ID]
    for one in found:
        assert (one.severity, one.outcome) == (Severity.WARN, Outcome.FOUND)
        assert not one.stops
    assert "Core mean 30.0 Gy; achievable 18.0 to 22.0 Gy" in found[0].evidence
    assert "PTV D98% 40.0 Gy" in found[1].evidence


def test_nothing_is_found_where_the_network_hardly_knows_the_patient_or_the_plan_is_usual(make_case) -> None:
    assert band_findings(judged(make_case, 30.0, 40.0), ("spacing is unusual",)) == ()
    assert band_findings(judged(make_case, 22.5, 50.0), ()) == ()
    assert band_findings(judged(make_case, 1.0, 60.0), ()) == ()


def test_volumes_may_come_in_either_order(make_case) -> None:
    falling = band("Core", 18.0, 20.0, 22.0)
    rising = PredictedBand(
        "Core", *(values[::-1] for values in (VOLUMES, falling.low_gy, falling.dose_gy, falling.high_gy))
    )
    case, curves = make_case("Core"), (curve("Core", 20.0),)
    assert judge_bands(case, curves, (falling,)) == judge_bands(case, curves, (rising,))
    volumes = judge_bands(case, curves, (falling,))[0].curve.volume_percent
    assert list(volumes) == sorted(volumes)


@pytest.mark.parametrize(("low", "middle", "high"), [(21.0, 20.0, 22.0), (18.0, 23.0, 22.0), (18.0, np.nan, 22.0)])
def test_curves_that_cross_or_are_no_numbers_are_refused(make_case, low: float, middle: float, high: float) -> None:
    with pytest.raises(EvaluationError, match="Core"):
        judge_bands(make_case("Core"), (curve("Core", 20.0),), (band("Core", low, middle, high),))


def test_the_scorecard_has_figures_and_sentences_but_no_curves(make_case, make_dose, facts) -> None:
    evaluation = evaluate(make_case("PTV", "Core"), goal_set_for_site("c-shape"), make_dose(50.0), facts)
    assert scorecard(evaluation)["bands"] == []
    whole = replace(evaluation, bands=judged(make_case, 30.0))
    assert Evaluation.from_json(whole.to_json()) == whole
    core = scorecard(whole)["bands"][1]
    assert (core["structure"], core["verdict"], core["deciding"]) == ("Core", "worse than usual", 0)
    assert core["figures"][0]["plan_gy"] == 30.0
    assert core["sentence"].startswith("Core mean 30.0 Gy")
    assert "curve" not in core
