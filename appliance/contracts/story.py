"""How a plan came about, step by step: what the planner saw, what it changed, what that gained. For teaching, and for
whoever asks why the plan is as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StoryStage = Literal["preliminary", "exploring", "fluence", "apertures", "sparing", "final"]


@dataclass(frozen=True)
class StoryGoal:
    """One goal at a step. text: as a clinician reads it; value in `unit`, NaN where its structure is absent."""

    text: str
    value: float
    unit: str
    met: bool


@dataclass(frozen=True)
class StoryChange:
    """One objective that was changed. what: raise, lower, tighten, relax, add. sentence: all of it for a clinician."""

    structure: str
    what: str
    sentence: str


@dataclass(frozen=True)
class StoryCurve:
    """DVH of one structure at the step: dose in Gy at each volume in percent, ascending volume."""

    structure: str
    volume_percent: tuple[float, ...]
    dose_gy: tuple[float, ...]


@dataclass(frozen=True)
class StoryStep:
    """by: the policy's name. saw: goals before the changes; values on the planner's own samples unless the stage is
    'preliminary' or 'final', whose dose is of the full calculation. score: of the scorecard after the step, percent of
    its most; gained: what it rose by. kept: the best so far. seconds: from the beginning of planning to its end."""

    number: int
    stage: StoryStage
    by: str
    saw: tuple[StoryGoal, ...]
    changed: tuple[StoryChange, ...]
    score: float
    gained: float
    goals_met: int
    goals_total: int
    hottest_gy: float
    seconds: float
    kept: bool = False
    curves: tuple[StoryCurve, ...] = ()


@dataclass(frozen=True)
class PlanningStory:
    """policy: which one planned ('learned', 'rules', …); fallback: why another than the configured one did, '' where
    none. ended: why planning stopped."""

    policy: str
    steps: tuple[StoryStep, ...] = ()
    fallback: str = ""
    ended: str = ""
