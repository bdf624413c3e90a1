"""What was delivered so far, on one anatomy: fractions brought there by registration and added up.

Every quantity comes as physical dose and as EQD2. Bands (`low`, `high` and `..._independent`) are those of
engines/accumulation/summing.py: the first cannot be passed by errors within the registrations' uncertainties, the
second takes the errors of different registrations for independent. Neither says anything of the dose calculation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.case import Case, SourceObject
from engines.accumulation import Banded, Delivered
from engines.grid import Grid
from engines.registration import DisplacementField, RigidTransform

Quantity = Literal["physical", "EQD2"]


@dataclass(frozen=True)
class AlphaBeta:
    """of_structure: a source speaks of this structure; else it is the value for whatever has none."""

    value_gy: float
    source: str
    of_structure: bool


@dataclass(frozen=True, eq=False)
class Fraction:
    """One registered image with the plan that was delivered on it, once or more. date: YYYYMMDD, '' if unknown.
    plan_digest: of the RTPLAN's content. origin: how it was registered, in words. notes: what must be known of it."""

    date: str
    delivered: Delivered
    plan_digest: str
    plan: SourceObject
    dose: SourceObject
    origin: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Placed:
    """to_fraction: takes points of the accumulation frame to the fraction's, off by uncertainty_mm at most."""

    to_fraction: DisplacementField | RigidTransform
    uncertainty_mm: float
    origin: str
    notes: tuple[str, ...] = ()


Register = Callable[[Case, Case], Placed]
"""(anatomy that dose is accumulated on, anatomy of the fraction) -> how they lie to each other."""


@dataclass(frozen=True, eq=False)
class StructureDose:
    """One structure, or a union joined by '+'. weight_cc (n,) of its voxels. physical, eqd2: Gy (n,). planned_gy: the
    same share of the reference plan's physical dose (n,), planned_eqd2_gy as EQD2; None where there is none.
    unreached: share of the volume that a fraction's dose grid does not reach."""

    structure: str
    is_target: bool
    weight_cc: NDArray[np.float32]
    physical: Banded
    eqd2: Banded
    alpha_beta: AlphaBeta
    unreached: float
    planned_gy: NDArray[np.float32] | None = None
    planned_eqd2_gy: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class AccumulatedFigure:
    """One metric of one structure. planned: of the same share of the reference plan, None without one."""

    structure: str
    quantity: Quantity
    metric: str
    unit: str
    value: float
    low: float
    high: float
    low_independent: float
    high_independent: float
    planned: float | None
    alpha_beta_gy: float
    alpha_beta_source: str


@dataclass(frozen=True, eq=False)
class AccumulatedDose:
    """dose_gy, eqd2_gy: (z, y, x) on `grid`; EQD2 with alpha_beta everywhere, for looking at: structures have their
    own. delivered: fractions in it; planned: of the course, 0 if unknown."""

    grid: Grid
    dose_gy: NDArray[np.float32]
    eqd2_gy: NDArray[np.float32]
    alpha_beta: AlphaBeta
    delivered: int
    planned: int
    structures: tuple[StructureDose, ...]
    figures: tuple[AccumulatedFigure, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)
