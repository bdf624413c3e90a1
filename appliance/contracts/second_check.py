"""The plan's dose against an independent calculation of the same plan: what it found, and whether both agree."""

from __future__ import annotations

from dataclasses import dataclass

SECOND_DOSE_FILE = "RD_second.dcm"
"""Name of the second dose's RTDOSE, beside the export set of its plan."""


@dataclass(frozen=True)
class TargetDifference:
    """Second calculation less the plan's dose, percent of the plan's, of the mean and median dose of a target."""

    structure: str
    mean_percent: float
    median_percent: float


@dataclass(frozen=True)
class BeamPoint:
    """One beam at the check point, Gy of the course. difference_percent is of the dose of all beams there, so that a
    beam which the point lies in the shadow of does not look wrong."""

    beam: int
    primary_gy: float
    secondary_gy: float
    difference_percent: float


@dataclass(frozen=True)
class DvhDifference:
    """The metric of a structure (D2%, D50%, D98% or Mean) that differs most, Gy of the course."""

    structure: str
    metric: str
    primary_gy: float
    secondary_gy: float

    @property
    def difference_gy(self) -> float:
        return self.secondary_gy - self.primary_gy


@dataclass(frozen=True)
class SecondCheck:
    """`primary` and `secondary` name the algorithms; `secondary` is '' where there was no independent one, and then
    nothing is compared and nothing agrees. gamma_*: of the plan's dose against the second as reference, inside the
    patient. point_mm (LPS) and point_difference_percent: all beams together at the check point. beams is () where the
    plan's dose is not known beam by beam. plan_digest, dose_digest: of what was checked; secondary_digest: of the
    second dose; secondary_file: name of its RTDOSE, which is written beside the plan's and not sent. sentences: what a
    person should know, the reasons first where `agrees` is False."""

    primary: str
    secondary: str
    agrees: bool
    sentences: tuple[str, ...]
    plan_digest: str
    dose_digest: str
    secondary_digest: str = ""
    gamma_criteria: str = ""
    gamma_pass_percent: float = 0.0
    gamma_mean: float = 0.0
    gamma_points: int = 0
    targets: tuple[TargetDifference, ...] = ()
    point_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    point_difference_percent: float = 0.0
    beams: tuple[BeamPoint, ...] = ()
    structures: tuple[DvhDifference, ...] = ()
    secondary_file: str = ""

    @property
    def available(self) -> bool:
        return bool(self.secondary)
