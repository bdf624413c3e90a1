"""Parameter sets drawn from what a paper says of their uncertainty, the same at every call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from engines.errors import EngineError

Floats = NDArray[np.float64]

Z_95 = 1.959963984540054
"""Standard normal deviate of the limits of a 95 % interval."""


def latin_hypercube(samples: int, dimensions: int, seed: int) -> Floats:
    """(samples, dimensions) in (0, 1): each dimension's `samples` equal strata hold one point each, paired at random.
    McKay, Beckman and Conover, Technometrics 21:239 (1979), doi 10.1080/00401706.1979.10489755."""
    if samples < 1 or dimensions < 1:
        raise EngineError("a Latin hypercube needs at least one sample and one dimension")
    random = np.random.default_rng(seed)
    strata = np.stack([random.permutation(samples) for _ in range(dimensions)], axis=1)
    return np.asarray((strata + random.random((samples, dimensions))) / samples, np.float64)


def two_piece_normal(quantile: Floats, best: float, low: float, high: float) -> Floats:
    """Values at `quantile` (0..1) of two half normals that meet at `best` and have `low` and `high` as their 2.5 and
    97.5 % points; so that an asymmetric confidence interval stays what the paper says. Raises EngineError unless
    low <= best <= high."""
    if not low <= best <= high:
        raise EngineError(f"the interval {low} to {high} does not hold its best estimate {best}")
    deviate = ndtri(quantile)
    spread = np.where(deviate < 0, best - low, high - best) / Z_95
    return np.asarray(best + spread * deviate, np.float64)
