"""Would this physician approve this plan, and what speaks for and against: the answer, with everything that limits
it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from appliance.contracts.preference import Attribution, Basis, PlanFeatures, PreferenceVerdict
from appliance.evaluation.preference.catalogue import FEATURES
from appliance.evaluation.preference.evidence import raw_values, row_of
from appliance.evaluation.preference.model import PreferenceModel
from appliance.evaluation.preference.predict import COVERAGE, predict, sigmoid
from appliance.evaluation.preference.watch import WatchReport

FEW_OWN = 20
"""Own decisions below which the verdict says that the clinic's preference still dominates. Chosen from
bench/preference.py: after about as many the personal weights predict as well as they will."""
FEW_OF_A_SITE = 10
BEYOND = 0.25
"""How far, as a part of the range learned from, a feature may lie outside it without a warning. Chosen."""

NO_MODEL = PreferenceVerdict(
    Basis.NO_MODEL,
    "No preference model is active, so nothing is predicted. Fit one from recorded decisions and let a named person "
    "activate it.",
)


def assess_preference(
    plan: PlanFeatures, physician: str, model: PreferenceModel | None, watched: WatchReport | None = None
) -> PreferenceVerdict:
    """physician: as the decisions name them; '' or a new name is judged by the clinic's preference. model: the active
    one, None: the verdict says so and holds no number. watched: what `watch` found since the model was fitted.

    The contributions and `base_logit` sum to `logit` exactly (math.fsum), and `probability` is sigma of it. Raises
    PreferenceRefused for features of another form.
    """
    if model is None:
        return NO_MODEL
    row = row_of(plan, model.typical)
    prediction = predict(model.belief(physician), row)
    factor = prediction.shrink / model.temperature
    base, attributions = _attributions(plan, physician, model, factor)
    logit = math.fsum([base, *(one.contribution for one in attributions)])
    probability = sigmoid(logit)
    _, low, high = prediction.calibrated(model.temperature)
    person = model.person(physician)
    own = 0 if person is None else person.decisions
    return PreferenceVerdict(
        basis=Basis.CLINIC if person is None else Basis.PERSONAL,
        sentence=_sentence(probability, low, high, physician, own, model),
        physician=physician,
        probability=probability,
        low=min(low, probability),
        high=max(high, probability),
        coverage=COVERAGE,
        logit=logit,
        base_logit=base,
        attributions=attributions,
        own_cases=own,
        clinic_cases=model.decisions,
        clinic_physicians=len(model.persons),
        calibrated=model.calibrated,
        model_digest=model.digest,
        warnings=tuple(_warnings(plan, own, model, watched)),
    )


def _attributions(
    plan: PlanFeatures, physician: str, model: PreferenceModel, factor: float
) -> tuple[float, tuple[Attribution, ...]]:
    """(base logit, contributions with the largest first)."""
    mean = model.belief(physician).mean
    made = []
    for feature, value, middle, weight, of_clinic in zip(
        FEATURES, raw_values(plan), model.typical, mean[1:], model.clinic_mean[1:], strict=True
    ):
        away = 0.0 if value is None else value - middle
        contribution, personal = float(weight) * away * factor, (float(weight) - of_clinic) * away * factor
        made.append(Attribution(feature.name, feature.title, feature.unit, value, middle, contribution, personal))
    return float(mean[0]) * factor, tuple(sorted(made, key=lambda one: -abs(one.contribution)))


def _sentence(probability: float, low: float, high: float, physician: str, own: int, model: PreferenceModel) -> str:
    who = physician or "A physician of this clinic"
    learned = (
        f"learned from {own} of their own decisions and the clinic's {model.decisions}"
        if own
        else f"the clinic's preference, from {model.decisions} decisions of {len(model.persons)} physicians"
    )
    return (
        f"{who} would approve this plan with a probability of {probability:.0%} ({COVERAGE:.0%} credible interval "
        f"{low:.0%} to {high:.0%}); {learned}."
    )


def _warnings(plan: PlanFeatures, own: int, model: PreferenceModel, watched: WatchReport | None) -> Iterator[str]:
    if not model.calibrated:
        yield "the probability is not calibrated: too few decisions were held out to hold it to what happened"
    if own < FEW_OWN:
        yield f"{own or 'no'} decisions of this physician were learned from; the clinic's preference dominates"
    if (of_site := dict(model.sites).get(plan.site, 0)) < FEW_OF_A_SITE:
        yield f"{of_site or 'no'} decisions on the site '{plan.site}' were learned from"
    outside = [
        feature.title
        for feature, value, low, high in zip(FEATURES, raw_values(plan), model.lowest, model.highest, strict=True)
        if value is not None and (low is None or high is None or _beyond(value, low, high))
    ]
    if outside:
        yield f"unlike any plan learned from: {', '.join(outside)}"
    if watched is not None:
        yield from watched.warnings


def _beyond(value: float, low: float, high: float) -> bool:
    reach = BEYOND * max(high - low, 1.0)
    return not low - reach <= value <= high + reach
