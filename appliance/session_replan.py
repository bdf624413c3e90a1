"""The stage that plans a revision: on a planning system of the case and goals as they were edited, from where planning
stood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Planned, Revision
from appliance.contracts.navigation import TradeOffSet
from appliance.contracts.progress import Progress
from appliance.errors import PlanningError
from appliance.evaluation.judged import Regions
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.execution.anytime import Curves
from appliance.execution.deadline import Deadline
from appliance.execution.edits import planning_case, planning_set
from appliance.execution.navigation import Navigator, Trader, agreed_in
from appliance.execution.reviser import revise_plan
from appliance.execution.steering.episode import Scorer
from appliance.execution.watch import Watch
from appliance.execution.watched import WatchedTps, watched
from appliance.planning import PhotonTps
from appliance.session_navigation import is_arc
from appliance.session_plan import curves_of, explained, working_of
from appliance.session_stages import Reviewed


def revised_plan(
    planning: PlanningConfig, case: Case, revision: Revision, before: Planned, progress: Progress
) -> Planned:
    """Raises PlanningError, also where no working state was kept with the plan before, ModelError, DeviceUnavailable:
    then nothing was revised. A planning system that fails or hangs later ends it with the best plan by then."""

    def make(tps: WatchedTps, scorer: Scorer, curves: Curves) -> Planned:
        return revise_plan(tps, revision, before=before, scorer=scorer, curves=curves, progress=progress)

    return _watched((planning, case, revision, before), planning_set(revision), make, progress)


def traded_plan(
    planning: PlanningConfig,
    case: Case,
    revision: Revision,
    before: Planned,
    known: TradeOffSet | None,
    progress: Progress,
) -> Planned:
    """The same from the fluence that navigation combined; of arcs, whose set is of other directions, for the agreed
    goals alone. known: what was kept with the plan before; the answer is worked out of it again."""
    trade = revision.trade
    if trade is None or known is None:
        raise PlanningError("what could be traded around the plan before was not kept")
    navigator = Navigator(known)
    answer = navigator.ask(trade.wish, trade.allowed)
    agreed = agreed_in(revision, known, (trade.wish, answer))
    is_moving = is_arc(Reviewed(case, revision.goal_set, before.plan, before.dose), planning)
    fluence = None if is_moving else navigator.fluence(answer)

    def make(tps: WatchedTps, scorer: Scorer, curves: Curves) -> Planned:
        trader = Trader(tps, revision, before, scorer, curves, progress, agreed=agreed, fluence=fluence)
        made = trader.revise()
        return replace(made, notes=(f"Navigation had predicted: {answer.sentence}", *made.notes))

    return _watched((planning, case, revision, before), agreed, make, progress)


def _watched(
    given: tuple[PlanningConfig, Case, Revision, Planned],
    goals: GoalSet,
    make: Callable[[WatchedTps, Scorer, Curves], Planned],
    progress: Progress,
) -> Planned:
    """goals: that are planned for."""
    planning, case, revision, before = given
    watch = Watch(progress, Deadline(planning.budget_s), explain=explained, hang_s=planning.hang_s)
    try:
        tps = watch(
            "preparing the case", lambda: PhotonTps(planning_case(case, revision), goals, planning, watch.progress)
        )
        curves = partial(curves_of, Regions(case), goals)
        made = make(watched(tps, watch), plan_scorer(revision.goal_set), curves)
        # Where the planning system cannot say where it stands, the plan that stays has what was kept of it.
        stood = before.working if made.plan.digest == before.plan.digest else None
        return replace(made, working=working_of(tps, watch, made.plan) or stood)
    finally:
        watch.close()
