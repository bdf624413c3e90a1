"""How well decisions were predicted by models that had not seen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.contracts.preference import Decision, PreferenceExample
from appliance.evaluation.preference.model import HeldOut
from appliance.evaluation.preference.predict import sigmoid
from engines.statistics import area_under_curve, bins_of_equal_count, expected_calibration_error, proper_scores

BINS = 10


@dataclass(frozen=True)
class Predicted:
    """A decision with the logit that was predicted for it, before calibration."""

    example: PreferenceExample
    logit: float

    @property
    def approved(self) -> bool:
        return self.example.decision is Decision.APPROVED

    def probability(self, temperature: float) -> float:
        return sigmoid(self.logit / temperature)


def held_out_of(predicted: Sequence[Predicted], temperature: float) -> HeldOut | None:
    """None where nothing was held out."""
    if not predicted:
        return None
    happened = np.array([one.approved for one in predicted], np.bool_)
    after = np.array([one.probability(temperature) for one in predicted])
    before = np.array([one.probability(1.0) for one in predicted])
    scores = proper_scores(after, happened)
    area = area_under_curve(after, happened)
    return HeldOut(
        decisions=scores.count,
        accuracy=scores.accuracy,
        auc=None if area is None else area.value,
        brier=scores.brier,
        log_loss=scores.log_loss,
        base_log_loss=proper_scores(np.full(len(happened), happened.mean()), happened).log_loss,
        calibration_error=expected_calibration_error(after, happened, BINS),
        calibration_error_before=expected_calibration_error(before, happened, BINS),
        curve=tuple((b.predicted, b.observed, b.count) for b in bins_of_equal_count(after, happened, BINS)),
    )
