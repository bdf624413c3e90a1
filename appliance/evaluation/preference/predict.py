"""A probability from believed weights: averaged over their uncertainty, calibrated, with a credible interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from engines.preference import Gaussian

COVERAGE = 0.9
"""Of the credible interval. Chosen: with 0.95 the interval of a newcomer spans nearly everything and is not read."""

SLIPS = 0.02
"""Part of decisions that may have nothing to do with the plan (a slip of the hand, another patient's reason), for which
the interval leaves room. Chosen; without it, intervals of well known physicians were too narrow near 0 and 1."""


@dataclass(frozen=True)
class Prediction:
    """logit: of the probability shown, before calibration; shrink: what each contribution is multiplied by to sum to
    it; low, high: ends of the interval, logits before calibration."""

    logit: float
    shrink: float
    low: float
    high: float

    def calibrated(self, temperature: float) -> tuple[float, float, float]:
        """(probability, low, high); the interval leaves room for slips."""
        low, high = sigmoid(self.low / temperature), sigmoid(self.high / temperature)
        return sigmoid(self.logit / temperature), (1.0 - SLIPS) * low, (1.0 - SLIPS) * high + SLIPS


def predict(belief: Gaussian, row: NDArray[np.float64]) -> Prediction:
    """The mean of sigma(a) under a ~ N(mu, s²) is close to sigma(mu / sqrt(1 + pi s² / 8)) (MacKay, Neural Comput
    4:720, 1992): not sure of the weights means closer to even."""
    mean, variance = belief.linear(row)
    shrink = 1.0 / math.sqrt(1.0 + math.pi * variance / 8.0)
    reach = NormalDist().inv_cdf(0.5 + COVERAGE / 2.0) * math.sqrt(variance)
    logit = mean * shrink
    return Prediction(logit, shrink, min(logit, mean - reach), max(logit, mean + reach))


def sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit)) if logit >= 0 else 1.0 - 1.0 / (1.0 + math.exp(logit))
