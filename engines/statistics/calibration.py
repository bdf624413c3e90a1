"""Are seven of ten plans approved where 0.7 was predicted? Scores, the table behind a calibration curve, and the one
number that sets predictions right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]

LOG_TEMPERATURE_DEVIATION = 0.5
"""Of the prior on log(temperature), centred at 0. Chosen, so that a temperature beyond e or below 1/e needs strong
evidence, and none at all leaves predictions as they are."""
LARGEST_LOG_TEMPERATURE = 2.0
REFINEMENTS = 5
"""Of the search, each ten times finer: the last step is 0.00002."""
TINY = 1e-12


@dataclass(frozen=True)
class Scores:
    """brier: mean (p - y)² (Brier, Mon Weather Rev 78:1, 1950); log_loss: mean of -log of the probability of what
    happened, nats; accuracy: share where p >= 0.5 agrees with y; base_rate: share of y = 1."""

    count: int
    accuracy: float
    brier: float
    log_loss: float
    base_rate: float


@dataclass(frozen=True)
class Bin:
    """Predictions of about equal height: their mean, the share that came true, how many."""

    predicted: float
    observed: float
    count: int


def proper_scores(probability: Vector, happened: NDArray[np.bool_]) -> Scores:
    """probability (n,) in 0..1, happened (n,). Raises EngineError for none, or other values."""
    p, y = _checked(probability, happened)
    given = np.clip(np.where(y, p, 1.0 - p), TINY, 1.0)
    return Scores(
        count=len(p),
        accuracy=float(np.mean((p >= 0.5) == y)),
        brier=float(np.mean((p - y) ** 2)),
        log_loss=-float(np.mean(np.log(given))),
        base_rate=float(np.mean(y)),
    )


def bins_of_equal_count(probability: Vector, happened: NDArray[np.bool_], bins: int = 10) -> tuple[Bin, ...]:
    """The calibration curve: predictions in ascending order, cut into `bins` groups of equal count."""
    p, y = _checked(probability, happened)
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(p))) if len(part)]
    return tuple(Bin(float(p[part].mean()), float(y[part].mean()), len(part)) for part in parts)


def expected_calibration_error(probability: Vector, happened: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean over the bins of |observed - predicted|, weighed by count (Naeini et al., AAAI 2015, with bins of equal
    count instead of equal width). Biased upwards in small samples: with n in a bin chance alone adds about 0.4 /
    sqrt(n)."""
    curve = bins_of_equal_count(probability, happened, bins)
    total = sum(one.count for one in curve)
    return sum(one.count * abs(one.observed - one.predicted) for one in curve) / total


def fit_temperature(logit: Vector, happened: NDArray[np.bool_]) -> float:
    """T that makes sigma(logit / T) most probable, under a prior that log T lies near 0 (temperature scaling: Guo et
    al., ICML 2017). logit (n,) must come from models that had not seen what happened."""
    x, y = np.asarray(logit, np.float64), np.asarray(happened, np.bool_)
    if x.shape != y.shape or not len(x) or not np.isfinite(x).all():
        raise EngineError("calibration needs as many finite logits as outcomes, and one at least")
    sign = np.where(y, 1.0, -1.0)

    def cost(log_temperature: float) -> float:
        loss = float(np.logaddexp(0.0, -sign * x * np.exp(-log_temperature)).sum())
        return loss + 0.5 * (log_temperature / LOG_TEMPERATURE_DEVIATION) ** 2

    best, reach = 0.0, LARGEST_LOG_TEMPERATURE
    for _ in range(REFINEMENTS):
        tried = best + reach * np.linspace(-1.0, 1.0, 21)
        best, reach = float(tried[np.argmin([cost(float(t)) for t in tried])]), reach / 10.0
    return float(np.exp(best))


def _checked(probability: Vector, happened: NDArray[np.bool_]) -> tuple[Vector, NDArray[np.bool_]]:
    p, y = np.asarray(probability, np.float64), np.asarray(happened, np.bool_)
    if p.ndim != 1 or p.shape != y.shape or not len(p):
        raise EngineError("predictions need as many probabilities as outcomes, and one at least")
    if not (np.isfinite(p).all() and p.min() >= 0.0 and p.max() <= 1.0):
        raise EngineError("probabilities lie between 0 and 1")
    return p, y
