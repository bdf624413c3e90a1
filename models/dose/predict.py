"""A dose from features, and the scores of a network over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .augment import mirrored
from .data import Patient
from .features import DOSE_UNIT_GY, POSSIBLE, dose_volume, features
from .network import padded
from .score import PatientScore, challenge_scores, score_patient

Predictor = Callable[[Tensor], Tensor]
"""Features (1, CHANNELS, ...) with sides that are multiples of 16, to dose (1, 1, ...) in DOSE_UNIT_GY."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a prediction of one patient is judged by, on one device: volumes (inferior, posterior, left)."""

    name: str
    features: Tensor
    dose: Tensor
    label: Tensor
    spacing_mm: tuple[float, float, float]
    has_ct: bool
    beyond: tuple[int, ...]

    @staticmethod
    def of(patient: Patient, device: torch.device, fluence: Tensor | None = None) -> Judged:
        label = torch.from_numpy(patient.label.astype("int32")).to(device).permute(2, 0, 1).contiguous()
        made, dose = features(patient, device, fluence), dose_volume(patient, device)[0]
        return Judged(patient.name, made, dose, label, patient.spacing_mm, patient.ct_hu is not None, patient.beyond)


def predicted(
    predictor: Predictor, facts: Tensor, canvas: tuple[int, int, int] | None = None, *, plain: bool = False
) -> Tensor:
    """Dose in Gy of features (CHANNELS, ...): the mean of what the predictor says of the patient and, mirrored back, of
    the mirrored patient. Never negative, zero where impossible. canvas: one size for all patients that fit.
    plain: of the patient alone, in half the time."""
    if canvas and all(side <= room for side, room in zip(facts.shape[1:], canvas, strict=True)):
        more = [room - side for side, room in zip(facts.shape[1:], canvas, strict=True)]
        grown = functional.pad(facts, (0, more[2], 0, more[1], 0, more[0]))
        place = tuple(slice(0, side) for side in facts.shape[1:])
    else:
        grown, place = padded(facts)
    dose = predictor(grown[None])[0, 0].float()
    if not plain:
        dose = (dose + predictor(mirrored(grown)[None])[0, 0].flip(-1).float()) / 2
    dose = dose[place]
    return dose.clamp(min=0) * facts[POSSIBLE].float() * DOSE_UNIT_GY


@torch.no_grad()
def judge(
    predictor: Predictor, patients: Sequence[Judged], canvas: tuple[int, int, int] | None = None
) -> list[PatientScore]:
    scores = []
    for patient in patients:
        dose = predicted(predictor, patient.features, canvas)
        true = patient.dose.float() * DOSE_UNIT_GY
        # Spacing in the order of the axes: only the product matters.
        scores.append(score_patient(dose, true, patient.label, patient.spacing_mm, patient.beyond))
    return scores


def summary(scores: Sequence[PatientScore], patients: Sequence[Judged]) -> dict[str, float]:
    """Both scores over all patients and over those with CT, in Gy."""
    told = dict(zip(("dose_score", "dvh_score"), challenge_scores(scores), strict=True))
    complete = [score for score, patient in zip(scores, patients, strict=True) if patient.has_ct]
    if complete:
        told |= dict(zip(("dose_score_with_ct", "dvh_score_with_ct"), challenge_scores(complete), strict=True))
    return told
