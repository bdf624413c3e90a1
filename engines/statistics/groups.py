"""Is a model as good for one group as for the others? Two estimates with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


def calibration_in_the_large(probability: Vector, happened: NDArray[np.bool_], *, coverage: float) -> Estimate:
    """Observed share minus mean prediction (Steyerberg, Clinical Prediction Models, 2019, on the scale of
    probability). Under the model the sum of outcomes has variance sum p (1 - p); where one class is missing, or
    predictions are extreme, a half is added to it so that no group is certain by chance."""
    p, y = np.asarray(probability, np.float64), np.asarray(happened, np.bool_)
    if p.shape != y.shape or not len(p):
        raise EngineError("a group needs as many probabilities as outcomes, and one at least")
    value = float(np.mean(y) - np.mean(p))
    error = math.sqrt(float(np.sum(p * (1.0 - p))) + 0.5) / len(p)
    reach = NormalDist().inv_cdf(0.5 + coverage / 2.0) * error
    return Estimate(value, value - reach, value + reach)


def area_under_curve(score: Vector, happened: NDArray[np.bool_], *, coverage: float = 0.95) -> Estimate | None:
    """Probability that a case that happened scores higher than one that did not, ties counted half; with DeLong's
    variance (DeLong, DeLong and Clarke-Pearson, Biometrics 44:837, 1988) from placement values. None where
    one of the two classes has fewer than two cases."""
    x, y = np.asarray(score, np.float64), np.asarray(happened, np.bool_)
    if x.shape != y.shape:
        raise EngineError("an area under the curve needs as many scores as outcomes")
    positive, negative = x[y], x[~y]
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        return None
    above, below = _beaten(positive, negative), 1.0 - _beaten(negative, positive)
    value = float(above.mean())
    variance = float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n
    reach = NormalDist().inv_cdf(0.5 + coverage / 2.0) * math.sqrt(variance)
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach))


def _beaten(scores: Vector, others: Vector) -> Vector:
    """Of each score, the share of the others that lie below it, ties counted half."""
    ordered = np.sort(others)
    sides = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(sides / (2.0 * len(others)), np.float64)
