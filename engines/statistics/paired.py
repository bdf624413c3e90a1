"""Is one method better than another on the same cases? The mean difference with its interval, and a rank test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]

DRAWS, SEED = 10_000, 1
FEWEST = 2


@dataclass(frozen=True)
class Paired:
    """mean: of the differences; low, high: ends of its interval; p: two-sided, of no difference; better, worse: cases
    with a difference above and below 0, of `count`."""

    count: int
    mean: float
    low: float
    high: float
    p: float
    better: int
    worse: int


def paired(difference: Vector, *, coverage: float = 0.95) -> Paired:
    """difference (n,): one for each case, mine less the other's. The interval holds the middle of the means of DRAWS
    sets of n cases drawn with replacement (percentile bootstrap: Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13); p by the signed-rank test (Wilcoxon, Biometrics Bull 1:80, 1945), which leaves out
    differences of 0; 1 where all are. Raises EngineError for fewer than two cases, values that are not finite, or a
    coverage outside 0..1."""
    from scipy.stats import wilcoxon  # here, because scipy.stats takes most of a second to load

    d = np.asarray(difference, np.float64)
    if d.ndim != 1 or len(d) < FEWEST or not np.isfinite(d).all() or not 0.0 < coverage < 1.0:
        raise EngineError("a paired comparison needs two finite differences at least, and a coverage between 0 and 1")
    means = d[np.random.default_rng(SEED).integers(0, len(d), (DRAWS, len(d)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - coverage) / 2, (1 + coverage) / 2])
    p = float(wilcoxon(d).pvalue) if d.any() else 1.0
    return Paired(len(d), float(d.mean()), float(low), float(high), p, int((d > 0).sum()), int((d < 0).sum()))
