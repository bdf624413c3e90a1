"""The challenge's scores (Babier et al., Med Phys 48:5549, 2021): the dose score, mean absolute error where dose is
possible, and the DVH score, mean absolute error of D0.1cc and mean of organs and of D99, D95 and D1 of targets.

The same numbers as `score.py` of the data folder gives, on any device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .data import ORGANS, ROIS

TARGET_PERCENTILES = {"D_99": 0.01, "D_95": 0.05, "D_1": 0.99}
SMALL_MM3 = 100.0
"""0.1 cc."""


@dataclass(frozen=True)
class PatientScore:
    """In Gy: the dose error, and the error of each (metric, region)."""

    dose_gy: float
    dvh_gy: dict[tuple[str, str], float]


def metrics(
    dose_gy: Tensor, label: Tensor, voxel_mm3: float, beyond: Sequence[int] = (0,) * len(ROIS)
) -> dict[tuple[str, str], Tensor]:
    """{(metric, region): Gy} of the regions that are there. dose and label of one shape; differentiable in dose.
    beyond: voxels of each of ROIS that are not in the arrays and have no dose."""
    told: dict[tuple[str, str], Tensor] = {}
    hottest = max(1.0, round(SMALL_MM3 / voxel_mm3))
    for bit, region in enumerate(ROIS[1:], 1):
        values = dose_gy[(label >> bit & 1) > 0]
        if beyond[bit]:
            values = torch.cat([values, values.new_zeros(beyond[bit])])
        if not len(values):
            continue
        ordered = values.sort().values
        if region in ORGANS:
            told["D_0.1_cc", region] = _quantile(ordered, max(0.0, 1 - hottest / len(values)))
            told["mean", region] = values.mean()
        else:
            for name, share in TARGET_PERCENTILES.items():
                told[name, region] = _quantile(ordered, share)
    return told


def score_patient(
    predicted_gy: Tensor, true_gy: Tensor, label: Tensor, spacing_mm: Iterable[float],
    beyond: Sequence[int] = (0,) * len(ROIS),
) -> PatientScore:  # fmt: skip
    """Both doses cover everything where dose is possible and are zero elsewhere."""
    a, b, c = spacing_mm
    possible = (label & 1).sum()
    off = (predicted_gy.double() - true_gy.double()).abs().sum() / possible
    mine, known = (metrics(dose.double(), label, a * b * c, beyond) for dose in (predicted_gy, true_gy))
    return PatientScore(float(off), {key: float((mine[key] - known[key]).abs()) for key in known})


def challenge_scores(patients: Iterable[PatientScore]) -> tuple[float, float]:
    """(dose score, DVH score). The DVH score is one mean over the cells of all patients. Raises ValueError for none."""
    every = list(patients)
    cells = [error for patient in every for error in patient.dvh_gy.values()]
    if not cells:
        raise ValueError("nothing to score")
    return sum(patient.dose_gy for patient in every) / len(every), sum(cells) / len(cells)


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """Linear between ordered values, as numpy.percentile."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
