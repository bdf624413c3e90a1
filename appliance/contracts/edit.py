"""What a person may change of a plan in review: a closed set of typed edits. No language is left in them, and each says
what it means without a look at anything but the case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from appliance.contracts.goals import ClinicalGoal, Comparator, GoalSet, Metric
from appliance.contracts.navigation import Wish

PROTECT_PERCENT = 10.0
"""How much lower an organ is asked for where nobody said how much (chosen: what four sparing rounds win at most)."""
COVER_PERCENT = 1.0
"""How much more dose of its prescription a target is asked for where nobody said how much (chosen: a coverage goal is
seldom missed by more)."""
COOL_PERCENT = 5.0
"""How much lower the hottest 0.1 cc of a region is asked for (chosen: what lies between a hot spot and its limit)."""
SPHERE_MM = 10.0
"""Radius about a point in which a hot spot is removed where nobody said how far (chosen: two or three voxels)."""


@dataclass(frozen=True)
class ChangeGoal:
    """The goal of this structure, metric and direction has this limit; where there is none, it is added."""

    structure: str
    metric: Metric
    comparator: Comparator
    limit: float
    unit: Literal["Gy", "%", "cc"]
    kind: Literal["change goal"] = "change goal"


@dataclass(frozen=True)
class ChangePriority:
    """metric: of which goals of the structure; None: of all. priority: 1 is most important."""

    structure: str
    priority: int
    metric: Metric | None = None
    kind: Literal["change priority"] = "change priority"


@dataclass(frozen=True)
class ProtectMore:
    """Less dose to an organ than it has in the plan as it stands: by so many percent of that, or Gy. metric: of which
    of its goals; None: of all, and of its mean dose where it has none."""

    structure: str
    by: float = PROTECT_PERCENT
    unit: Literal["%", "Gy"] = "%"
    metric: Metric | None = None
    kind: Literal["protect more"] = "protect more"


@dataclass(frozen=True)
class PushCoverage:
    """More dose to the edge of a target than it has: by so many percent of its prescription."""

    target: str
    by_percent: float = COVER_PERCENT
    kind: Literal["push coverage"] = "push coverage"


@dataclass(frozen=True)
class Sphere:
    """About a point, DICOM patient LPS, mm."""

    centre_mm: tuple[float, float, float]
    radius_mm: float = SPHERE_MM


@dataclass(frozen=True)
class Isodose:
    """All of the patient that has at least this dose in the plan as it stands, Gy of the course."""

    level_gy: float


@dataclass(frozen=True)
class RemoveHotSpot:
    """region: a structure's name, about a point, or what an isodose encloses. limit_gy: what the hottest 0.1 cc of it
    may have; None: COOL_PERCENT less than it has, of an isodose its level."""

    region: str | Sphere | Isodose
    limit_gy: float | None = None
    kind: Literal["remove hot spot"] = "remove hot spot"


@dataclass(frozen=True)
class TakeTrade:
    """The plan that navigation answers a wish with, made deliverable. allowed: structures whose goals may be lost for
    it."""

    wish: Wish
    allowed: tuple[str, ...] = ()
    kind: Literal["take trade"] = "take trade"


@dataclass(frozen=True)
class Undo:
    """Back to the plan before the last revision, as it was, without planning."""

    kind: Literal["undo"] = "undo"


Edit = ChangeGoal | ChangePriority | ProtectMore | PushCoverage | RemoveHotSpot | TakeTrade | Undo


@dataclass(frozen=True)
class Refusal:
    """Why no edit was made of what somebody asked for. reason: one sentence. choices: what would be understood."""

    reason: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class HotRegion:
    """A region that only planning knows. index: flat voxels of the image grid, ascending."""

    name: str
    words: str
    index: tuple[int, ...]


@dataclass(frozen=True)
class EditMade:
    """One edit as it was applied, in words: what it was about before and after. who: asked for it."""

    edit: Annotated[Edit, Field(discriminator="kind")]
    who: str
    old: str
    new: str


@dataclass(frozen=True)
class Revision:
    """What a plan is to be revised to. goal_set: what it is judged by from now on, changed goals included. wishes:
    further goals that only planning knows, of this and earlier revisions, which never cost a goal of the goal set.
    regions: what wishes speak of beside structures. made: the edits of this revision. asked: the numbers, in goals and
    then wishes, of what is to become better by them; relaxed: of what may give way.

    parent: the revision before which the plan was what an Undo leads to; 0: there is nothing to undo. restores: where
    it is an Undo, the revision before which the plan was what it shall be again."""

    number: int
    goal_set: GoalSet
    wishes: tuple[ClinicalGoal, ...] = ()
    regions: tuple[HotRegion, ...] = ()
    made: tuple[EditMade, ...] = ()
    asked: tuple[int, ...] = ()
    relaxed: tuple[int, ...] = ()
    parent: int = 0
    restores: int = 0

    @property
    def trade(self) -> TakeTrade | None:
        """What it takes from navigation, where it does that."""
        return next((made.edit for made in self.made if isinstance(made.edit, TakeTrade)), None)

    @property
    def planning_goals(self) -> tuple[ClinicalGoal, ...]:
        return (*self.goal_set.goals, *self.wishes)

    def to_json(self) -> bytes:
        return _REVISION.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> Revision:
        return _REVISION.validate_json(data)


_REVISION = TypeAdapter(Revision)
_EDITS: TypeAdapter[tuple[Edit, ...]] = TypeAdapter(tuple[Annotated[Edit, Field(discriminator="kind")], ...])


def edits_to_json(edits: tuple[Edit, ...]) -> bytes:
    return _EDITS.dump_json(edits)


def edits_from_json(data: bytes | str) -> tuple[Edit, ...]:
    """Raises pydantic.ValidationError for what is no list of edits."""
    return _EDITS.validate_json(data)
