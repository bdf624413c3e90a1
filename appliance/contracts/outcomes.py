"""What outcome models say of one dose: for ranking plans of one patient, never a prognosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RANKING_ONLY = "for ranking plans only, not a prognosis"


@dataclass(frozen=True)
class OutcomeDifference:
    """The adapted plan against the scheduled one, both with the same parameters: `adapted` minus `scheduled`,
    probabilities 0..1. low, high: 95 % band; probability_lower: share of the parameter sets in which the adapted plan
    has the lower value (a tie counts half); None where the source gives no uncertainty."""

    scheduled: float
    difference: float
    low: float | None = None
    high: float | None = None
    probability_lower: float | None = None


@dataclass(frozen=True)
class OutcomeEstimate:
    """One model on one structure.

    probability 0..1, None where no number is given; `sentence` then says why. low, high: 95 % band of the parameters'
    uncertainty, None where there is none; `band` says how it was made or why not. equivalent_gy: the dose the model's
    curve was read at (gEUD, mean, hottest volume; None for control models), on `dose_basis`. patients: behind the fit,
    None where not known. checked: what the parameters were compared with.
    """

    id: str
    structure: str
    kind: Literal["NTCP", "TCP"]
    endpoint: str
    model: str
    probability: float | None
    low: float | None
    high: float | None
    band: str
    equivalent_gy: float | None
    dose_basis: str
    sentence: str
    source: str
    doi: str
    checked: str
    patients: int | None = None
    note: str = ""
    versus_scheduled: OutcomeDifference | None = None
    label: str = RANKING_ONLY
