"""Half-widths of intervals that cover what they promise, from errors where the truth is known.

Errors of one patient are alike, so voxels cannot be counted as if each told something new: patients are what is
exchangeable. Of K patients each weighs the same however many voxels it has, and one more weight, the next patient's,
lies at infinity. The smallest q with

    1/(K+1) sum_k (share of patient k's scores that are at most q) >= level

then covers a random value of the next patient with at least probability `level`, whatever the distributions
(hierarchical conformal prediction: Lee, Barber and Willett, arXiv:2306.06342, section 3; for one score a patient it is
split conformal prediction: Papadopoulos et al., ECML 2002). A score is the absolute error over the value's own scale.

Where each patient has thousands of scores that differ more than patients do, the weight at infinity is far too careful.
There `mixture_quantile` leaves it out, and `cross_correction` makes up for what that lacks, from patients that are left
out of the fit in their turn (cross-conformal prediction: Vovk, Ann Math Artif Intell 74:9, 2015).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]
FEWEST_IN_BIN = 10
"""Patients that a bin of the scale must have voxels of (chosen: one of them then moves a factor by a tenth)."""
ROUNDING = 1e-9
"""Shares are sums of fractions: a level that is met within this is met."""


def fewest_patients(level: float) -> int:
    """How many patients a level needs at least: K/(K+1) must reach it."""
    return int(np.ceil(level / (1.0 - level) - ROUNDING))


def conformal_quantile(scores: Sequence[NDArray[np.floating]], level: float) -> float:
    """The q of the module's top. scores: one array a patient; patients without a score are left out. Raises EngineError
    for a level outside 0..1 or more than so few patients can promise, and for scores that are not finite or negative.
    """
    if not 0.0 < level < 1.0:
        raise EngineError(f"a level lies between 0 and 1, not at {level}")
    known = [np.asarray(one, np.float64).ravel() for one in scores if np.size(one)]
    if len(known) < fewest_patients(level):
        raise EngineError(f"{len(known)} patients cannot promise {level:.0%}: {fewest_patients(level)} are needed")
    return mixture_quantile(known, level * (len(known) + 1) / len(known))


def mixture_quantile(scores: Sequence[NDArray[np.floating]], level: float) -> float:
    """The smallest q that holds the share `level` of scores in the mean over patients. Raises EngineError without a
    score, for a level that is not above 0 and at most 1, and for scores that are not finite or negative."""
    known = [np.asarray(one, np.float64).ravel() for one in scores if np.size(one)]
    if not known or not 0.0 < level <= 1.0 + ROUNDING:
        raise EngineError(f"no scores, or a level that is none: {level}")
    every = np.concatenate(known)
    if not bool(np.isfinite(every).all()) or bool((every < 0).any()):
        raise EngineError("scores must be finite and not negative")
    weights = np.concatenate([np.full(len(one), 1.0 / (len(one) * len(known))) for one in known])
    order = np.argsort(every, kind="stable")
    reached = np.cumsum(weights[order])
    return float(every[order][min(int(np.searchsorted(reached, level - ROUNDING)), len(every) - 1)])


def cross_correction(
    errors: Sequence[NDArray[np.floating]], half_widths: Sequence[NDArray[np.floating]], level: float
) -> float:
    """What half-widths have to be multiplied with to hold `level`. half_widths: each patient's by a fit that did not
    see the patient; positive."""
    pairs = zip(errors, half_widths, strict=True)
    return mixture_quantile([np.abs(error) / half for error, half in pairs if np.size(error)], level)


def covered(errors: Sequence[NDArray[np.floating]], half_widths: Sequence[NDArray[np.floating]]) -> Vector:
    """Of each patient that has errors, the share of them within its half-widths (patients,)."""
    pairs = zip(errors, half_widths, strict=True)
    return np.array([float(np.mean(np.abs(e) <= h + ROUNDING)) for e, h in pairs if np.size(e)])


def folds(count: int, parts: int) -> Iterator[tuple[list[int], list[int]]]:
    """(fit, held out) for each of `parts` folds; item n is held out in fold n mod parts, and once only. Raises
    EngineError where a fold would be empty."""
    if not 2 <= parts <= count:
        raise EngineError(f"{count} patients do not make {parts} folds")
    for part in range(parts):
        held = list(range(part, count, parts))
        yield [n for n in range(count) if n % parts != part], held


def equal_bins(scales: Sequence[NDArray[np.floating]], bins: int) -> Vector:
    """Inner edges (bins - 1,) that cut the pooled scales into equal parts, each patient weighing the same."""
    known = [np.asarray(one, np.float64).ravel() for one in scales if np.size(one)]
    every = np.concatenate(known)
    weights = np.concatenate([np.full(len(one), 1.0 / len(one)) for one in known])
    order = np.argsort(every, kind="stable")
    reached = np.cumsum(weights[order]) / len(known)
    at = np.searchsorted(reached, np.arange(1, bins) / bins)
    return np.asarray(every[order][np.minimum(at, len(every) - 1)], np.float64)


def binned_quantiles(
    errors: Sequence[NDArray[np.floating]], scales: Sequence[NDArray[np.floating]], bins: int, levels: Sequence[float]
) -> tuple[Vector, Vector]:
    """A factor for each bin of the scale, so that a scale that is wrong by different amounts where it is small and
    where it is large is still right. errors, scales: one array a patient. Returns the logarithm of each bin's typical
    scale (bins,), rising, and factors (levels, bins), each a mixture_quantile. Bins that fewer than FEWEST_IN_BIN
    patients reach are joined to their neighbour.
    """
    edges = np.unique(equal_bins(scales, bins)) if bins > 1 else np.zeros(0)
    places = [np.digitize(scale, edges, right=True) for scale in scales]
    joined, group = [], []
    for place in range(len(edges) + 1):
        group.append(place)
        if sum(bool(np.isin(p, group).any()) for p in places) >= FEWEST_IN_BIN:
            joined.append(group)
            group = []
    if not joined:
        raise EngineError(f"fewer than {FEWEST_IN_BIN} patients have values")
    joined[-1] += group
    centres, factors = [], []
    for group in joined:
        inside = [np.isin(place, group) for place in places]
        scores = [np.abs(e)[k] / s[k] for e, s, k in zip(errors, scales, inside, strict=True)]
        pooled = np.concatenate([s[k] for s, k in zip(scales, inside, strict=True)])
        centres.append(float(np.log(np.median(pooled))))
        factors.append([mixture_quantile(scores, level) for level in levels])
    return np.array(centres), np.array(factors).T
