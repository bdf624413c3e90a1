"""How usual is a case among those a model was made from? Robust ranges of each fact, and one distance over all of them.

Only aggregates are kept (quantiles, a correlation matrix), so that a model can be shipped without its patients. Facts
are made comparable by their own quantiles: 0 is the median, +1 the 95 % and -1 the 5 % quantile, each side with its
own scale, so that skewed facts need no transformation. Facts that are unknown are NaN and are left out of a distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Array = NDArray[np.float64]
SHARES = (0.01, 0.05, 0.5, 0.95, 0.99)
"""Quantiles that are kept of each fact."""
FEWEST = 20
"""Cases a fact must be known of before a quantile of 5 % says anything (chosen: it is then the lowest of twenty)."""
LEAST_EIGENVALUE = 0.05
"""Of a correlation matrix (chosen: no direction may weigh more than twenty times the average one)."""
SIGMA_OF_95 = 1.6448536269514722
"""Normal deviate of the 95 % quantile: what a standardised fact of 1 would be were it normal."""


@dataclass(frozen=True, eq=False)
class Typical:
    """Of p facts: quantiles (p, 5) at SHARES, the smallest half-range that counts as a difference (p,), and the
    shrunk correlation (p, p) of the standardised facts."""

    quantiles: Array
    least: Array
    correlation: Array

    def standardised(self, values: Array) -> Array:
        """values (..., p) as multiples of the distance from the median to the 5 or 95 % quantile; NaN stays NaN."""
        middle = self.quantiles[:, 2]
        down = np.maximum(middle - self.quantiles[:, 1], self.least)
        up = np.maximum(self.quantiles[:, 3] - middle, self.least)
        off = np.asarray(values, np.float64) - middle
        return np.asarray(np.where(off < 0, off / down, off / up), np.float64)


def beyond(quantiles: Array, least: Array, values: Array) -> Array:
    """How far values (..., p) lie outside what 98 % of cases have, in multiples of the distance from the median to the
    1 or 99 % quantile of their side: at most 0 inside, 1 twice as far from the median as the quantile. NaN stays.
    quantiles (p, 5) at SHARES, least (p,) the smallest distance that counts."""
    lowest, middle, highest = quantiles[:, 0], quantiles[:, 2], quantiles[:, 4]
    x = np.asarray(values, np.float64)
    over = (x - highest) / np.maximum(highest - middle, least)
    under = (lowest - x) / np.maximum(middle - lowest, least)
    return np.asarray(np.fmax(over, under), np.float64)


def fact_quantiles(values: Array) -> Array:
    """(p, 5) at SHARES of values (n, p), without NaN."""
    return np.asarray(np.nanquantile(values, SHARES, axis=0).T, np.float64)


def fit_typical(values: Array, least: Array) -> Typical:
    """Typical cases from values (n, p), NaN where unknown. least (p,): half-ranges below which a fact's own spread is
    not believed, in the unit of the fact, all positive.

    The correlation is that of ranks, brought to the normal one by 2 sin(pi r / 6) (Pearson 1907, after Kruskal, J Am
    Stat Assoc 53:814, 1958, section 5), over the pairs that know both facts, shrunk to the identity by the weight of
    Schaefer and Strimmer (Stat Appl Genet Mol Biol 4:32, 2005, section 2.4) with var(r) = (1 - r^2)^2 / (n - 1).
    Raises EngineError for shapes that do not fit, a fact with fewer than FEWEST values, or an infinity."""
    table, least = np.asarray(values, np.float64), np.asarray(least, np.float64)
    if table.ndim != 2 or least.shape != table.shape[1:] or not bool((least > 0).all()):
        raise EngineError("typical cases need a table (cases, facts) and a positive least half-range for each fact")
    if bool(np.isinf(table).any()):
        raise EngineError("a fact is infinite")
    if bool((np.isfinite(table).sum(0) < FEWEST).any()):
        raise EngineError(f"a fact is known of fewer than {FEWEST} cases")
    return Typical(fact_quantiles(table), least, _shrunk(*_rank_correlation(table)))


def distance(typical: Typical, values: Array) -> tuple[float, Array]:
    """How far a case (p,) lies from the middle of all, as a normal deviate, and what each fact adds (p,), NaN where
    unknown.

    The squared Mahalanobis distance of the known facts, brought to a normal deviate by Wilson and Hilferty (PNAS
    17:684, 1931), so that cases with different facts missing can be compared. Facts are not normal: the deviate is a
    score to be compared with other cases' scores, not a probability. What a fact adds is its term of x' C^-1 x, and
    the terms sum to the squared distance. A case of which nothing is known has deviate 0.
    """
    x = typical.standardised(values) * SIGMA_OF_95
    known = np.flatnonzero(np.isfinite(x))
    terms = np.full(len(x), np.nan)
    if not len(known):
        return 0.0, terms
    terms[known] = x[known] * np.linalg.solve(typical.correlation[np.ix_(known, known)], x[known])
    p = len(known)
    ninth = 2.0 / (9.0 * p)
    return (math.cbrt(float(terms[known].sum()) / p) - (1.0 - ninth)) / math.sqrt(ninth), terms


def _rank_correlation(table: Array) -> tuple[Array, Array]:
    """Correlations (p, p) of ranks among the cases that know a fact, and how many cases each pair is known of."""
    from scipy.stats import rankdata  # here, because scipy.stats takes most of a second to load

    known = np.isfinite(table)
    seen = known.astype(np.float64)
    ranks = np.where(known, rankdata(table, axis=0, nan_policy="omit"), 0.0)
    n = seen.T @ seen
    count = np.maximum(n, 1.0)
    mean = ranks.T @ seen / count
    square = np.square(ranks).T @ seen / count - np.square(mean)
    product = ranks.T @ ranks / count - mean * mean.T
    scale = np.sqrt(np.maximum(square * square.T, 0.0))
    enough = (n >= FEWEST) & (scale > 0)
    spearman = np.where(enough, product / np.where(enough, scale, 1.0), 0.0)
    r = 2.0 * np.sin(np.pi * np.clip(spearman, -1.0, 1.0) / 6.0)
    np.fill_diagonal(r, 1.0)
    return r, n


def _shrunk(r: Array, n: Array) -> Array:
    """r towards the identity; further, where pairs known of different cases make it indefinite, until its smallest
    eigenvalue is LEAST_EIGENVALUE."""
    off = ~np.eye(len(r), dtype=bool)
    if not bool(off.any()):
        return r
    noise = float((np.square(1.0 - np.square(r[off])) / np.maximum(n[off] - 1.0, 1.0)).sum())
    weight = min(1.0, noise / max(float(np.square(r[off]).sum()), 1e-300))
    lowest = float(np.linalg.eigvalsh(r)[0])
    if (1.0 - weight) * lowest + weight < LEAST_EIGENVALUE:
        weight = (LEAST_EIGENVALUE - lowest) / (1.0 - lowest)
    return (1.0 - weight) * r + weight * np.eye(len(r))
