"""The stage that plans a revision: on a planning system of the case and goals as they were edited, from where planning
stood."""

from __future__ import annotations

from appliance.config import PlanningConfig
from appliance.contracts import Case, Planned, Revision, TradeOff
from appliance.contracts.progress import Progress
from appliance.errors import PlanningError
from appliance.execution.edits import planning_case, planning_set
from appliance.execution.revising import revise_plan
from appliance.planning import PhotonTps, device_errors
from engines.errors import EngineError


def revised_plan(
    planning: PlanningConfig, case: Case, revision: Revision, before: Planned, progress: Progress
) -> Planned:
    """Raises PlanningError, also where no working state was kept with the plan before."""
    if before.working is None:
        raise PlanningError("no state of planning was kept with this plan; start the session again with retry")
    notes: list[str] = []
    trade_offs: list[TradeOff] = []
    try:
        with device_errors():
            tps = PhotonTps(planning_case(case, revision), planning_set(revision), planning, progress)
            plan, dose = revise_plan(
                tps,
                revision,
                before.working,
                (before.plan, before.dose),
                progress,
                note=notes.append,
                trade_off=trade_offs.append,
            )
        return Planned(plan, dose, tuple(notes), tuple(trade_offs), working=tps.working())
    except EngineError as error:
        raise PlanningError(f"the dose engine cannot compute this case ({error}); send the case to support") from error
