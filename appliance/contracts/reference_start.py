"""Where planning may begin: at the plan that is adapted, brought to today, and how a planning system took it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from appliance.contracts.plan import Plan
from appliance.contracts.tps import PlanningState

Way = Literal["apertures", "fluence"]


@dataclass(frozen=True)
class ReferenceStart:
    """plan: the one that is adapted, with its isocentre where the anatomy at the reference's isocentre lies today.
    target_shift_mm: how far the targets lie today from where that leaves them, x, y, z in LPS; None: not known."""

    plan: Plan
    target_shift_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Followed:
    """way: 'apertures': the planning system stands at a deliverable plan, with the apertures of the one followed;
    'fluence': only its fluence could be taken, and is to be sequenced. told: how, in a sentence for a clinician."""

    state: PlanningState
    way: Way
    told: str


@runtime_checkable
class CanFollow(Protocol):
    """What a planning system may offer beyond what it must."""

    def follow(self, start: ReferenceStart) -> Followed:
        """Stands at the earlier plan from now on, brought to today. Raises PlanningError where nothing of it can be
        taken; the planning system then stands where it stood."""
        ...
