"""What a set of patient scores says, and how sure that is: means, and intervals by resampling the patients.

An interval holds the middle 95 % of the score over DRAWS sets of as many patients, drawn with replacement (percentile
bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). It says how much the score hangs
on which patients were judged, not on the seed of a training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .score import PatientScore

DRAWS, SEED, MIDDLE = 4000, 1, 0.95


def told(scores: Mapping[str, PatientScore], complete: Sequence[str]) -> dict[str, Any]:
    """Of all patients, and of the complete ones: scores, their intervals, the mean error of each DVH metric; in Gy."""
    groups = {"all": list(scores.values()), "with_ct": [scores[name] for name in scores if name in set(complete)]}
    return {name: _group(group) for name, group in groups.items() if group}


def _group(scores: Sequence[PatientScore]) -> dict[str, Any]:
    dose, cells = _sums(scores)
    cell_means: dict[str, list[float]] = {}
    for score in scores:
        for (metric, region), off in score.dvh_gy.items():
            cell_means.setdefault(f"{region} {metric}", []).append(off)
    return {
        "patients": len(scores),
        "dose_score": _rounded(dose.mean(), drawn(dose, np.ones_like(dose))),
        "dvh_score": _rounded(cells[:, 0].sum() / cells[:, 1].sum(), drawn(cells[:, 0], cells[:, 1])),
        "dvh_gy": {name: round(sum(values) / len(values), 3) for name, values in sorted(cell_means.items())},
    }


def difference(mine: Mapping[str, PatientScore], other: Mapping[str, PatientScore]) -> dict[str, Any]:
    """Mine minus the other's over patients that both know, patient by patient. Raises ValueError without any."""
    names = [name for name in mine if name in other]
    if not names:
        raise ValueError("the two have no patient in common")
    (dose, cells), (known, known_cells) = (_sums([which[name] for name in names]) for which in (mine, other))
    off, count = dose - known, np.ones_like(dose)
    dvh = cells[:, 0] - known_cells[:, 0]
    return {
        "patients": len(names),
        "dose_score": _rounded(off.mean(), drawn(off, count)),
        "dvh_score": _rounded(dvh.sum() / cells[:, 1].sum(), drawn(dvh, cells[:, 1])),
    }


def drawn(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """The interval of sum over count, of resampled patients."""
    chosen = np.random.default_rng(SEED).integers(0, len(sums), (DRAWS, len(sums)))
    ratio = sums[chosen].sum(1) / counts[chosen].sum(1)
    low, high = np.quantile(ratio, [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2])
    return float(low), float(high)


def _sums(scores: Sequence[PatientScore]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dose errors (n,), and of the DVH metrics of each patient the sum and the number (n, 2)."""
    cells = [[sum(score.dvh_gy.values()), len(score.dvh_gy)] for score in scores]
    return np.array([score.dose_gy for score in scores]), np.array(cells, float)


def _rounded(value: float, interval: tuple[float, float]) -> dict[str, float]:
    return {"gy": round(float(value), 4), "low": round(interval[0], 4), "high": round(interval[1], 4)}


# ---- scores on disk, so that two networks are compared without running both again ------------------------------------


def document(scores: Mapping[str, PatientScore]) -> dict[str, Any]:
    return {
        name: {"dose_gy": score.dose_gy, "dvh_gy": {f"{m}|{r}": off for (m, r), off in score.dvh_gy.items()}}
        for name, score in scores.items()
    }


def scores_of(known: Mapping[str, Any]) -> dict[str, PatientScore]:
    """Back from `document`."""
    made = {}
    for name, one in known.items():
        cells = {(key.split("|")[0], key.split("|")[1]): float(off) for key, off in one["dvh_gy"].items()}
        made[name] = PatientScore(float(one["dose_gy"]), cells)
    return made
