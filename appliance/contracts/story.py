"""How a plan came about, step by step: what the planner saw, what it changed, what that gained. For teaching, and for
whoever asks why the plan is as it is."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, TypeAdapter

StoryStage = Literal["preliminary", "review", "exploring", "fluence", "apertures", "sparing", "final"]

STORY_FILE, SCHEMA = "story.json", "couchside.story/1"

Known = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A number that may be NaN, which JSON has as null."""


@dataclass(frozen=True)
class StoryGoal:
    """One goal at a step. text: as a clinician reads it; value in `unit`, NaN where its structure is absent.
    comparator, limit: what is wanted, so that a rounded value can be shown without contradicting `met`. wish: of a
    revision: planned for, but no goal that the plan is judged by."""

    text: str
    value: Known
    unit: str
    met: bool
    comparator: str = ""
    limit: Known = math.nan
    wish: bool = False


@dataclass(frozen=True)
class StoryChange:
    """One objective that was changed. what: raise, lower (its weight), tighten, relax (what it asks for), add, remove.
    sentence: all of it for a clinician. objective: what it is of, as a planner calls it ("Parotid_L Mean")."""

    structure: str
    what: str
    sentence: str
    objective: str = ""


@dataclass(frozen=True)
class StoryCurve:
    """DVH of one structure at the step: dose in Gy at each volume in percent, ascending volume. is_target: it has a
    prescription."""

    structure: str
    volume_percent: tuple[float, ...]
    dose_gy: tuple[float, ...]
    is_target: bool = False


@dataclass(frozen=True)
class StoryStep:
    """by: the policy's name. score: of the scorecard after the step, percent of its most.

    since: the earlier step that this one is compared with, of which the dose was made in the same way (samples and
    algorithm), -1 where there is none. saw: goals there. gained: what the score rose by since; 0 where there is none.
    Gains of steps that follow each other so add up to the difference of their scores; a score of coarse samples is
    never set against one of the full dose. reached: goals after the step; values on the planner's own samples, in
    'apertures' and 'sparing' estimates of the full dose or that dose itself (`told` says so), in 'preliminary',
    'review' (the plan that a revision began with) and 'final' of the full dose. goals_met, goals_total: wishes are not
    counted.

    changed: the one whose goal moved most first. told: the same in one line, grouped where there are many. kept: the
    best so far of its kind, a hot spot above its limit taken into account. seconds: from the beginning of planning to
    the end of the step."""

    number: int
    stage: StoryStage
    by: str
    saw: tuple[StoryGoal, ...]
    changed: tuple[StoryChange, ...]
    score: float
    gained: float
    goals_met: int
    goals_total: int
    hottest_gy: Known
    seconds: float
    kept: bool = False
    curves: tuple[StoryCurve, ...] = ()
    reached: tuple[StoryGoal, ...] = ()
    since: int = -1
    told: str = ""


@dataclass(frozen=True)
class PlanningStory:
    """policy: which one planned ('learned', 'rules', …); fallback: why another than the configured one did, '' where
    none. ended: why planning stopped. hot_limit_gy: what the hottest 0.1 cc may have; NaN where that was not told.
    revision: its number where a plan in review was revised, else 0; asked: what for, in words."""

    policy: str
    steps: tuple[StoryStep, ...] = ()
    fallback: str = ""
    ended: str = ""
    hot_limit_gy: Known = math.nan
    revision: int = 0
    asked: str = ""

    def to_json(self) -> bytes:
        """The content of story.json (docs/interfaces.md)."""
        head = {"schema": SCHEMA, "not_for_clinical_use": True}
        document = head | json.loads(_STORY.dump_json(self))
        return json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    @staticmethod
    def from_json(data: bytes) -> PlanningStory:
        """Raises ValueError for what is no story."""
        return _STORY.validate_json(data)


_STORY = TypeAdapter(PlanningStory)
