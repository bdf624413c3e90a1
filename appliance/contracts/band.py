"""A plan's dose-volume histogram beside the band that a prediction says a good plan lies in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lies(StrEnum):
    BELOW = "below"
    WITHIN = "within"
    ABOVE = "above"


class Verdict(StrEnum):
    """For the patient, not of the dose: an organ below its band is spared more than usual."""

    BETTER = "better than usual"
    USUAL = "as usual"
    WORSE = "worse than usual"


@dataclass(frozen=True)
class BandFigure:
    """One figure of the histogram (`Mean`, `D2%`, `D98%`) in Gy of the course: the plan's, and the band's low, middle
    and high. lies: where the plan's is. clear: beyond the bound by more than the band's own uncertainty would
    excuse."""

    metric: str
    plan_gy: float
    low_gy: float
    middle_gy: float
    high_gy: float
    lies: Lies
    clear: bool


@dataclass(frozen=True)
class BandCurve:
    """The band itself: the hottest volume_percent[i] receives at least low, middle or high_gy[i]; volumes ascend."""

    volume_percent: tuple[float, ...]
    low_gy: tuple[float, ...]
    middle_gy: tuple[float, ...]
    high_gy: tuple[float, ...]


@dataclass(frozen=True)
class BandJudgement:
    """One structure. deciding: number of the figure that the verdict and the sentence are about. sentence: for a
    clinician."""

    structure: str
    is_target: bool
    figures: tuple[BandFigure, ...]
    deciding: int
    verdict: Verdict
    sentence: str
    curve: BandCurve

    @property
    def decided(self) -> BandFigure:
        return self.figures[self.deciding]

    @property
    def is_clearly_worse(self) -> bool:
        return self.verdict is Verdict.WORSE and self.decided.clear
