"""How the goals stand when the patient, the dose or the contours are not quite what was planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector3 = tuple[float, float, float]
NONE: Vector3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Displacement:
    """The patient turned by rotation_deg about the LPS axes through the isocentre (x, then y, then z), then shifted by
    shift_mm (LPS) from where the plan expects them."""

    shift_mm: Vector3 = NONE
    rotation_deg: Vector3 = NONE


class DisplacedDoses(Protocol):
    """Dose of one plan on fixed voxels of today's image under displacements of the whole patient, Gy of the course."""

    def __call__(self, displacement: Displacement) -> NDArray[np.float32]: ...


class DosesAt(Protocol):
    """Makes `DisplacedDoses` for voxels: flat indices (n,) into the image grid. centre_mm: what turns go about."""

    def __call__(self, index: NDArray[np.int64]) -> DisplacedDoses: ...


@dataclass(frozen=True)
class Motion:
    """A range of motion of one structure within the patient: from -extent_mm to +extent_mm (LPS) about where it is."""

    structure: str
    extent_mm: Vector3


@dataclass(frozen=True)
class ErrorModel:
    """Standard deviations of the errors; every default is chosen (docs/evaluation/robustness.md says from what) and a
    clinic puts its own figures in their place.

    systematic_mm, random_mm: set-up left after today's image guidance, along x, y, z (LPS); random errors are new in
    every fraction. rotation_deg: about each axis, systematic. dose_percent: of the calculated dose, everywhere alike.
    contour_mm: of where a border is drawn. shift_mm, turn_deg: size of the scenarios; 0: 2.5 standard deviations.
    checks: further scenarios off the axes, by which the error of the response surface is measured."""

    systematic_mm: Vector3 = (1.0, 1.0, 1.0)
    random_mm: Vector3 = (1.0, 1.0, 1.0)
    rotation_deg: Vector3 = (0.5, 0.5, 0.5)
    dose_percent: float = 1.5
    contour_mm: float = 1.0
    shift_mm: float = 0.0
    turn_deg: float = 0.0
    motions: tuple[Motion, ...] = ()
    checks: int = 4
    draws: int = 20000
    seed: int = 20261127


@dataclass(frozen=True)
class Scenario:
    """One thing that may be otherwise. weight: in the expected DVH; 0 for scenarios that only show an effect. kind:
    'nominal', 'shift', 'rotation', 'motion' or 'check' (off the axes, drawn with the seed)."""

    name: str
    kind: str
    displacement: Displacement
    weight: float


@dataclass(frozen=True)
class GoalRobustness:
    """values: of the goal's metric in `Robustness.scenarios`, in their order, in `unit`; NaN never: a motion of another
    structure leaves the nominal value. worst: of the scenarios of set-up and motion. expected, deviation: mean and
    standard deviation under the error model. chance_met: probability that the goal is kept; chance_low, chance_high:
    with the response surface wrong by `surface_error` (root mean square at the check scenarios) either way, and with
    the sampling error of the draws. parts: percent of the variance from set-up, rotation, dose calculation, contour.
    on_planning_volume: the goal is on a PTV, whose margin is itself the answer to set-up errors. added: not one of the
    goals: the goal of a PTV asked of the CTV within it."""

    structure: str
    metric: str
    comparator: str
    limit: float
    unit: str
    nominal: float
    values: tuple[float, ...]
    worst: float
    worst_scenario: str
    expected: float
    deviation: float
    chance_met: float
    chance_low: float
    chance_high: float
    surface_error: float
    dose_band: tuple[float, float]
    contour_band: tuple[float, float]
    parts: tuple[tuple[str, float], ...]
    on_planning_volume: bool = False
    added: bool = False


@dataclass(frozen=True)
class DvhBand:
    """Cumulative DVHs over the set-up scenarios: lowest and highest volume, and their weighted mean, at each dose."""

    structure: str
    dose_gy: tuple[float, ...]
    nominal_percent: tuple[float, ...]
    lowest_percent: tuple[float, ...]
    highest_percent: tuple[float, ...]
    expected_percent: tuple[float, ...]


@dataclass(frozen=True)
class Robustness:
    """method: in one sentence, what the doses of the scenarios are. voxels: sampled. notes: what limits it."""

    scenarios: tuple[Scenario, ...]
    goals: tuple[GoalRobustness, ...]
    bands: tuple[DvhBand, ...]
    errors: ErrorModel
    fractions: int
    method: str
    voxels: int
    notes: tuple[str, ...] = ()
