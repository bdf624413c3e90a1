"""The stage that plans a revision: on a planning system of the case and goals as they were edited, from where planning
stood."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from appliance.config import PlanningConfig
from appliance.contracts import Case, Planned, Revision
from appliance.contracts.progress import Progress
from appliance.evaluation.judged import Regions
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.execution.edits import planning_case, planning_set
from appliance.execution.reviser import revise_plan
from appliance.execution.watch import Watch
from appliance.execution.watched import watched
from appliance.planning import PhotonTps
from appliance.session_plan import curves_of, explained, working_of


def revised_plan(
    planning: PlanningConfig, case: Case, revision: Revision, before: Planned, progress: Progress
) -> Planned:
    """Raises PlanningError, also where no working state was kept with the plan before, ModelError, DeviceUnavailable:
    then nothing was revised. A planning system that fails or hangs later ends it with the best plan by then."""
    goals = planning_set(revision)
    watch = Watch(progress, explain=explained, hang_s=planning.hang_s)
    try:
        tps = watch(
            "preparing the case", lambda: PhotonTps(planning_case(case, revision), goals, planning, watch.progress)
        )
        made = revise_plan(
            watched(tps, watch), revision, before=before, scorer=plan_scorer(revision.goal_set),
            curves=partial(curves_of, Regions(case), goals), progress=progress,
        )  # fmt: skip
        # Where the planning system cannot say where it stands, the plan that stays has what was kept of it.
        stood = before.working if made.plan.digest == before.plan.digest else None
        return replace(made, working=working_of(tps, watch, made.plan) or stood)
    finally:
        watch.close()
