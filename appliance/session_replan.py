"""The stage that plans a revision: on a planning system of the case and goals as they were edited, from where planning
stood."""

from __future__ import annotations

from appliance.config import PlanningConfig
from appliance.contracts import Case, Planned, Revision, TradeOff
from appliance.contracts.progress import Progress
from appliance.errors import PlanningError
from appliance.execution.edits import planning_case, planning_set
from appliance.execution.revising import revise_plan
from appliance.planning import PhotonTps
from appliance.session_plan import explained
from engines.errors import EngineError


def revised_plan(
    planning: PlanningConfig, case: Case, revision: Revision, before: Planned, progress: Progress
) -> Planned:
    """Raises PlanningError, also where no working state was kept with the plan before."""
    if before.working is None:
        raise PlanningError("no state of planning was kept with this plan; start the session again with retry")
    notes: list[str] = []
    trade_offs: list[TradeOff] = []
    final = (before.plan, before.dose)
    try:
        tps = PhotonTps(planning_case(case, revision), planning_set(revision), planning, progress)
        plan, dose = revise_plan(
            tps, revision, before.working, final, progress, note=notes.append, trade_off=trade_offs.append
        )
    except EngineError as error:
        raise explained(error) from error
    return Planned(plan, dose, tuple(notes), tuple(trade_offs), working=tps.working())
