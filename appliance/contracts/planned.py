"""What planning hands on: the plan, its dose, and what the planner has to say about both."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.contracts.dose import CalculatedDose
from appliance.contracts.plan import Plan
from appliance.contracts.story import PlanningStory
from appliance.contracts.trade_off import TradeOff
from appliance.contracts.working import Working


@dataclass(frozen=True)
class PlanningFacts:
    """For the record. policy: what steered ('learned', 'rules', 'template'), with the SHA-256 of its network, '' where
    it has none; fallback: why another than the configured one, '' where none. calls: of the TPS for exploring. kept:
    'preliminary' or 'improved'; of a revision 'improved' or 'as it was'. budget_s: 0 where there was none. ended: why
    planning stopped. start: 'goals', or what of the adapted plan it began with ('apertures', 'fluence', 'dose'), with
    ', then goals' where it was planned anew from the goals and that is the plan handed on."""

    policy: str = ""
    policy_sha256: str = ""
    fallback: str = ""
    calls: int = 0
    kept: str = ""
    budget_s: float = 0.0
    seconds: float = 0.0
    ended: str = ""
    start: str = "goals"


@dataclass(frozen=True, eq=False)
class Planned:
    """notes: sentences for whoever judges the plan, such as which goals stand against each other. trade_offs: the same
    in structured form. story: how the plan came about, where the planner told it. facts: None where it kept none.
    working: what a revision goes on from, where the planning system keeps such a state."""

    plan: Plan
    dose: CalculatedDose
    notes: tuple[str, ...] = ()
    trade_offs: tuple[TradeOff, ...] = ()
    story: PlanningStory | None = None
    facts: PlanningFacts | None = None
    working: Working | None = None
