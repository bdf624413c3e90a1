"""The three records of a change-control plan for a learned model: what is modified, how it was tested, what it does.

They follow the parts of FDA's guidance "Marketing Submission Recommendations for a Predetermined Change Control Plan
for Artificial Intelligence-Enabled Device Software Functions" (2024, reissued
2025): description of modifications, modification
protocol, impact assessment. The product claims no clearance; the records are what a named person reads before
activating.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.preference import PreferenceExample
from appliance.evaluation.preference.catalogue import FEATURES, Feature
from appliance.evaluation.preference.evidence import row_of
from appliance.evaluation.preference.held_out import BINS, Predicted
from appliance.evaluation.preference.model import Changes, Check, PreferenceModel
from appliance.evaluation.preference.predict import predict
from appliance.evaluation.preference.watch import bias_of
from engines.statistics import proper_scores

CALIBRATION_LIMIT = 0.05
"""Of the calibration error, beyond what chance adds. Chosen."""
CHANCE = 0.4
"""Mean of |share - true share| in a bin of n is at most 0.4 / sqrt(n): sqrt(2 / pi) times the deviation of a share at
even odds, 0.5 / sqrt(n)."""
WORSE_BY = 0.02
"""Nats of log-loss that a candidate may lose against the active model on decisions that neither has seen. Chosen."""
CLEAR = 1.645
"""Deviations by which a weight must differ from 0 to be called learned: one side of a 90 % interval."""
NAMED = 5


def changes_of(
    model: PreferenceModel,
    examples: Sequence[PreferenceExample],
    predicted: Sequence[Predicted],
    previous: PreferenceModel | None,
) -> PreferenceModel:
    """The model with its records filled in."""
    records = Changes(
        modifications=_modifications(model, previous),
        protocol=_protocol(model, predicted, previous),
        impact=_impact(model, examples, previous),
    )
    return replace(model, changes=records)


def _modifications(model: PreferenceModel, previous: PreferenceModel | None) -> tuple[str, ...]:
    sentences = [
        f"{model.decisions} decisions of {len(model.persons)} physicians on {len(model.sites)} sites "
        f"({', '.join(f'{site} {count}' for site, count in model.sites)})"
    ]
    if previous is None:
        sentences.append("there is no active model; nothing was predicted before")
        weights = [(abs(mean), feature.title, mean) for feature, mean in _weights(model)]
        words = "odds of approval {factor} for each unit ({weight:+.2f})"
    else:
        new = len(set(model.learned_from) - set(previous.learned_from))
        sentences.append(f"{new} of them are new since model {previous.digest[:16]}")
        before = dict(zip((f.name for f in FEATURES), previous.clinic_mean[1:], strict=True))
        weights = [
            (abs(mean - before[feature.name]), feature.title, mean - before[feature.name])
            for feature, mean in _weights(model)
        ]
        words = "odds of approval {factor} for each unit against before ({weight:+.2f})"
    for _, title, weight in sorted(weights, key=lambda entry: -entry[0])[:NAMED]:
        factor = f"times {math.exp(weight):.2f}"
        sentences.append(f"{title}: " + words.format(factor=factor, weight=weight))
    sentences.append(f"probabilities: {model.calibrated or 'not calibrated, too few decisions'}")
    return tuple(sentences)


def _weights(model: PreferenceModel) -> list[tuple[Feature, float]]:
    return list(zip(FEATURES, model.clinic_mean[1:], strict=True))


def _protocol(
    model: PreferenceModel, predicted: Sequence[Predicted], previous: PreferenceModel | None
) -> tuple[Check, ...]:
    """Acceptance criteria, all on decisions held out of the fit."""
    held = model.held_out
    if held is None:
        return (Check("held out", 0.0, 1.0, False, "nothing could be held out: all decisions are about one case"),)
    allowed = CALIBRATION_LIMIT + CHANCE / math.sqrt(max(1.0, held.decisions / BINS))
    checks = [
        Check(
            "better than the base rate",
            held.log_loss,
            held.base_log_loss,
            held.log_loss < held.base_log_loss,
            f"log-loss {held.log_loss:.3f} (saying the same for every plan: {held.base_log_loss:.3f})",
        ),
        Check(
            "calibration",
            held.calibration_error,
            allowed,
            held.calibration_error <= allowed,
            f"calibration error {held.calibration_error:.3f} (before calibration "
            f"{held.calibration_error_before:.3f}) on {held.decisions} decisions",
        ),
    ]
    flagged = [check for check in bias_of(predicted, model.temperature) if check.flagged]
    words = "; ".join(f"{check.kind} {check.group}: {check.flagged}" for check in flagged)
    checks.append(Check("no group left behind", float(len(flagged)), 0.0, not flagged, words or "no group is flagged"))
    return (*checks, *_against(model, predicted, previous))


def _against(
    model: PreferenceModel, predicted: Sequence[Predicted], previous: PreferenceModel | None
) -> tuple[Check, ...]:
    """On the decisions that the active model has not learned from either."""
    if previous is None:
        return ()
    known = frozenset(previous.learned_from)
    new = [one for one in predicted if one.example.id not in known]
    if not new:
        return ()
    happened = np.array([one.approved for one in new], np.bool_)
    before = _probabilities(previous, [one.example for one in new])
    after = np.array([one.probability(model.temperature) for one in new])
    loss, limit = proper_scores(after, happened).log_loss, proper_scores(before, happened).log_loss + WORSE_BY
    sentence = f"log-loss {loss:.3f} on {len(new)} new decisions (the active model: {limit - WORSE_BY:.3f})"
    return (Check("not worse than the active model", loss, limit, loss <= limit, sentence),)


def _impact(
    model: PreferenceModel, examples: Sequence[PreferenceExample], previous: PreferenceModel | None
) -> tuple[str, ...]:
    """What would be said differently of the plans on record."""
    now = _probabilities(model, examples)
    sentences = []
    if previous is None:
        sentences.append(f"{np.mean(now >= 0.5):.0%} of the {len(now)} plans on record would be predicted as approved")
    else:
        before = _probabilities(previous, examples)
        crossed = int(np.sum((now >= 0.5) != (before >= 0.5)))
        sentences.append(
            f"of the {len(now)} plans on record {crossed} change sides; the probability moves by "
            f"{np.mean(np.abs(now - before)):.2f} on average and by {np.max(np.abs(now - before)):.2f} at most"
        )
    variance = np.diag(model.clinic.gaussian.covariance)[1:] - np.array(model.spread[1:]) ** 2
    for feature, mean, own in zip(FEATURES, model.clinic_mean[1:], variance, strict=True):
        if mean * feature.better < 0 and abs(mean) > CLEAR * math.sqrt(max(own, 0.0)):
            sentences.append(f"look at this: the clinic seems to prefer plans that are worse in '{feature.title}'")
    sentences.append("a verdict informs; approval, goals, machine limits and the second check are not touched")
    return tuple(sentences)


def _probabilities(model: PreferenceModel, examples: Sequence[PreferenceExample]) -> NDArray[np.float64]:
    beliefs = {name: model.belief(name) for name in {example.physician for example in examples}}
    return np.array(
        [
            predict(beliefs[example.physician], row_of(example.plan, model.typical)).calibrated(model.temperature)[0]
            for example in examples
        ]
    )
