"""The plan's histograms beside the bands that a prediction says are achievable, and what of it a person should look at.

Advice, never a goal: a band says what plans of patients like this reached, which is neither what must be reached nor
the best that can be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.contracts import Case, DvhCurve, Finding, Outcome, PredictedBand, Severity, StructureKind
from appliance.contracts.band import BandCurve, BandFigure, BandJudgement, Lies, Verdict
from appliance.errors import EvaluationError
from engines.dvh_band import mean_of_curve

CLEAR_GY = 1.0
"""Chosen: less is lost among differences of dose engines and contours."""
CLEAR_SHARE = 1.0
"""Of the distance from middle to bound: clear is what lies twice as far from the middle as the bound. Chosen, because
only 4 of 39 reference plans then have a clear organ or target by chance; at 0.53, where a normal distribution has its
95 % bound, 9 had."""

ROUNDING_GY = 0.01
"""By which curves stored as float32 may seem to cross."""

ORGAN_METRICS, TARGET_METRICS = ("Mean", "D2%"), ("D98%", "Mean", "D2%")
"""Mean and near-maximum as ICRU Report 83 (2010) asks for organs, near-minimum and near-maximum for targets."""

SOURCE = "Couchside, predicted dose"
ORGAN_ID, TARGET_ID = "prediction.organ_above_band", "prediction.target_below_band"


def judge_bands(case: Case, dvh: Sequence[DvhCurve], bands: Sequence[PredictedBand]) -> tuple[BandJudgement, ...]:
    """Every structure that has both, in the order of `dvh` (the plan's). A structure without a band is left out: the
    prediction says nothing of it."""
    known = {band.structure: band for band in bands}
    found = []
    for curve in dvh:
        structure = case.structure(curve.structure)
        if structure is not None and curve.structure in known:
            is_target = structure.kind is StructureKind.TARGET
            found.append(_judged(curve, _ascending(known[curve.structure]), is_target))
    return tuple(found)


def band_findings(judged: Sequence[BandJudgement], warnings: Sequence[str]) -> tuple[Finding, ...]:
    """Organs clearly above and targets clearly below their band, one finding for each kind. None where the prediction
    itself came with `warnings`: what it says of this patient is not known to hold."""
    if warnings:
        return ()
    found = []
    for is_target, identity, title, remedy in (
        (False, ORGAN_ID, "Organs above what is usually reached", "See whether they can be spared more"),
        (True, TARGET_ID, "Targets below what is usually reached", "See whether they can be covered better"),
    ):
        worse = [one for one in judged if one.is_target is is_target and one.is_clearly_worse]
        if worse:
            evidence = f"{'; '.join(one.sentence for one in worse)}. {remedy}; the band is advice, not a goal."
            found.append(Finding(identity, title, Severity.WARN, Outcome.FOUND, evidence, SOURCE))
    return tuple(found)


def _ascending(band: PredictedBand) -> BandCurve:
    """Volumes ascend. Raises EvaluationError for a band that has no points, whose curves cross or rise with volume, or
    that is not finite."""
    order = np.argsort(band.volume_percent)
    volume, low, middle, high = (
        np.asarray(values, np.float64)[order]
        for values in (band.volume_percent, band.low_gy, band.dose_gy, band.high_gy)
    )
    steps = np.concatenate([-np.diff(low), -np.diff(middle), -np.diff(high), middle - low, high - middle])
    if not volume.size or not np.isfinite(steps).all() or (steps < -ROUNDING_GY).any():
        raise EvaluationError(
            f"the predicted band of {band.structure} is no band (its curves cross or rise); leave the prediction aside"
        )
    curves = (tuple(round(float(value), 2) for value in values) for values in (volume, low, middle, high))
    return BandCurve(*curves)


def _judged(curve: DvhCurve, band: BandCurve, is_target: bool) -> BandJudgement:
    figures = tuple(_figure(metric, curve, band) for metric in (TARGET_METRICS if is_target else ORGAN_METRICS))
    verdicts = [_verdict(figure, is_target) for figure in figures]
    deciding = _deciding(figures, verdicts)
    return BandJudgement(
        structure=curve.structure,
        is_target=is_target,
        figures=figures,
        deciding=deciding,
        verdict=verdicts[deciding],
        sentence=_sentence(curve.structure, figures[deciding], verdicts[deciding], is_target),
        curve=band,
    )


def _figure(metric: str, curve: DvhCurve, band: BandCurve) -> BandFigure:
    curves = (band.low_gy, band.middle_gy, band.high_gy)
    if metric == "Mean":
        plan_gy = curve.mean_gy
        low, middle, high = (mean_of_curve(band.volume_percent, gy) for gy in curves)
    else:
        percent = float(metric[1:-1])
        plan_gy = float(np.interp(percent, curve.volume_percent[::-1], curve.dose_gy[::-1]))
        low, middle, high = (float(np.interp(percent, band.volume_percent, gy)) for gy in curves)
    lies = Lies.ABOVE if plan_gy > high else Lies.BELOW if plan_gy < low else Lies.WITHIN
    beyond, reach = (plan_gy - high, high - middle) if lies is Lies.ABOVE else (low - plan_gy, middle - low)
    return BandFigure(metric, plan_gy, low, middle, high, lies, beyond > max(CLEAR_GY, CLEAR_SHARE * reach))


def _verdict(figure: BandFigure, is_target: bool) -> Verdict:
    """Less dose is better for an organ. Of a target only the near-minimum is judged: a hot or mean dose beyond the band
    may be meant."""
    if figure.lies is Lies.WITHIN or (is_target and figure.metric != "D98%"):
        return Verdict.USUAL
    return Verdict.WORSE if (figure.lies is Lies.ABOVE) is not is_target else Verdict.BETTER


def _deciding(figures: Sequence[BandFigure], verdicts: Sequence[Verdict]) -> int:
    """The worst: clear before merely beyond, worse before better; the first figure where all are as usual."""
    order = {Verdict.WORSE: 0, Verdict.BETTER: 1, Verdict.USUAL: 2}
    return min(range(len(figures)), key=lambda n: (order[verdicts[n]], not figures[n].clear, n))


def _sentence(name: str, figure: BandFigure, verdict: Verdict, is_target: bool) -> str:
    reached = f"{name.replace('_', ' ')} {'mean' if figure.metric == 'Mean' else figure.metric} {figure.plan_gy:.1f} Gy"
    says = {
        (Verdict.WORSE, False): "the plan is above what patients like this usually reach",
        (Verdict.BETTER, False): "the plan spares more than is usual in patients like this",
        (Verdict.WORSE, True): "the plan covers less than is usual in patients like this",
        (Verdict.BETTER, True): "the plan covers more than is usual in patients like this",
    }.get((verdict, is_target), "the plan is within what patients like this usually reach")
    return f"{reached}; achievable {figure.low_gy:.1f} to {figure.high_gy:.1f} Gy: {says}"
