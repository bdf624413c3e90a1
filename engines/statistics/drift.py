"""An alarm for a model whose predictions no longer fit what happens, with a false alarm rate that is known.

Under a calibrated prediction p the log-loss has the mean H(p) = -p log p - (1 - p) log(1 - p). The excess over it,
summed up with an allowance and kept from falling below zero, is Page's cumulative sum (Page, Biometrika 41:100, 1954):

    S_t = max(0, S_(t-1) + loss_t - H(p_t) - allowance),    alarm where S_t > threshold

A prediction counts with at least FLOOR, so that one slip of a hand is no drift. The threshold is found by simulation:
the caller hands in sequences of predictions with what happened under a model that still holds, weights as uncertain as
they are, so the rate holds for this clinic's plans and not for a textbook's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

ALLOWANCE = 0.05
"""Nats a decision that count as no drift. Chosen: an approval predicted with 0.80 in place of a true 0.65 loses 0.05
(the relative entropy is 0.056); less is not worth an alarm."""
FLOOR = 0.02
"""Least probability that anything is held to have. Chosen: one decision in fifty may be a slip."""


@dataclass(frozen=True)
class Cusum:
    """`level` after each decision; `first_alarm` is the index of the first above the threshold, None where there is
    none."""

    level: tuple[float, ...]
    first_alarm: int | None
    threshold: float

    @staticmethod
    def of(probability: Vector, happened: NDArray[np.bool_], threshold: float, allowance: float = ALLOWANCE) -> Cusum:
        """probability, happened (n,) in the order of time; n may be 0."""
        p, y = np.asarray(probability, np.float64), np.asarray(happened, np.bool_)
        if p.shape != y.shape:
            raise EngineError("drift needs as many probabilities as outcomes")
        level, sums = 0.0, []
        for excess in _excess(p, y):
            level = max(0.0, level + float(excess) - allowance)
            sums.append(level)
        first = next((index for index, value in enumerate(sums) if value > threshold), None)
        return Cusum(tuple(sums), first, threshold)


def threshold_for_rate(
    probability: Matrix, happened: NDArray[np.bool_], rate: float, allowance: float = ALLOWANCE
) -> float:
    """The threshold that a sequence passes by chance with probability `rate`. probability, happened (runs, horizon): of
    simulated sequences; with 2000 runs a rate of 0.05 is known to 0.005, one standard error. Raises EngineError."""
    p, y = np.asarray(probability, np.float64), np.asarray(happened, np.bool_)
    if p.ndim != 2 or p.shape != y.shape or not p.size or not 0.0 < rate < 1.0:
        raise EngineError("a threshold needs sequences of predictions and outcomes, and a rate between 0 and 1")
    excess = _excess(p, y) - allowance
    level, highest = np.zeros(len(p)), np.zeros(len(p))
    for step in excess.T:
        level = np.maximum(0.0, level + step)
        highest = np.maximum(highest, level)
    return float(np.quantile(highest, 1.0 - rate))


def _excess(probability: Matrix, happened: NDArray[np.bool_]) -> Matrix:
    """Log-loss minus its mean under the prediction, nats."""
    p = np.clip(probability, FLOOR, 1.0 - FLOOR)
    loss = -np.log(np.where(happened, p, 1.0 - p))
    return np.asarray(loss + p * np.log(p) + (1.0 - p) * np.log1p(-p), np.float64)
