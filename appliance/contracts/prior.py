"""An earlier course of radiotherapy on today's anatomy: how it was brought here, and what both courses add up to.

Doses of both courses are added voxel by voxel as EQD2, never as physical dose. Goals on today's plan are judged on
today's dose as always; what is here comes beside them and is marked as cumulative.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.case import Case


@dataclass(frozen=True, eq=False)
class PriorMaterial:
    """What is known of the earlier course. case: its image, structures and dose (`reference_dose_gy` on its own grid).
    to_prior: (4, 4) homogeneous matrix, LPS mm, from points of today's frame to the prior frame, where a registration
    object says it; None: it is found from the images. fractions: of the earlier course. days_since: between the two
    courses, None where no date is known."""

    case: Case
    fractions: int
    days_since: float | None = None
    to_prior: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class RegistrationQuality:
    """How well the earlier image lies on today's. method: 'registration object' or 'rigid, from the images'.

    similarity: correlation of the two images inside both bodies (1 is perfect). body_overlap: Dice of the outlines
    where both images reach. surface_mm: mean distance of the outlines there. organ: the shared structure that fits
    worst, its Dice and the distance of its centres; organs_compared counts them, 0 where none is drawn on both.
    shift_mm, rotation_deg: size of the motion found. uncertainty_mm: what the dose band below uses."""

    method: str
    similarity: float
    body_overlap: float
    surface_mm: float
    organs_compared: int
    organ: str
    organ_overlap: float
    organ_distance_mm: float
    shift_mm: float
    rotation_deg: float
    uncertainty_mm: float


@dataclass(frozen=True)
class CumulativeResult:
    """Cumulative EQD2 of one structure against one limit, both courses together.

    limit: in EQD2, with the structure's alpha/beta; `limit_from` says of what it was made. value: in `unit`; low, high:
    with the earlier dose taken as its lowest and highest within the registration's uncertainty. met: `value` within the
    limit; certain: `low` and `high` say the same. prior_largest_gy: the hottest voxel of the earlier course here, in
    EQD2 after recovery. recovery: part of the earlier EQD2 taken as recovered, with its source in words."""

    structure: str
    metric: str
    comparator: str
    limit: float
    unit: str
    value: float
    low: float
    high: float
    met: bool
    certain: bool
    priority: int
    alpha_beta_gy: float
    alpha_beta_source: str
    prior_largest_gy: float
    recovery: float
    recovery_source: str
    limit_from: str
    source: str
    cumulative: bool = True


@dataclass(frozen=True)
class PriorCourse:
    """notes: sentences a reader must know. to_prior: rows of the (4, 4) matrix that was used."""

    prior_digest: str
    fractions: int
    days_since: float | None
    registration: RegistrationQuality
    results: tuple[CumulativeResult, ...]
    to_prior: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...] = field(default_factory=tuple)
