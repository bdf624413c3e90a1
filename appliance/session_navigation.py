"""What could be traded around a session's plan: made beside the review, kept as artefacts, and plans made of answers.
Planning, execution and evaluation meet here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.config import PlanningConfig
from appliance.contracts import TradeOff
from appliance.contracts.navigation import Answer, Forecast, TradeOffSet, Wish
from appliance.contracts.progress import Progress, silent
from appliance.contracts.sampled import goal_values, hottest_gy
from appliance.evaluation.dose_on_image import dose_on_image
from appliance.execution.navigation import Navigator, Realised, agreed_goals, realise, trade_off_set
from appliance.execution.navigation.anchors import Result
from appliance.execution.operator import Operator
from appliance.execution.watch import Watch
from appliance.planning import PhotonTps, device_errors
from appliance.planning.merit import FullGrid
from appliance.session import Session, State
from appliance.session_artefacts import REPORT, as_json
from appliance.session_plan import explained
from appliance.session_questions import COARSE_GRID_MM, FIELDS_FOR_ARC, THIN
from appliance.session_stages import Reviewed
from appliance.session_traded import NAVIGATION_FILE, NAVIGATION_JSON, navigation_bytes, navigation_document
from engines.errors import EngineError


def trade_offs_around(
    reviewed: Reviewed,
    planning: PlanningConfig,
    traded: tuple[TradeOff, ...] = (),
    *,
    progress: Progress = silent,
    enough: Callable[[], bool] = lambda: False,
) -> TradeOffSet:
    """traded: what planning said of goals against goals. enough: asked before each plan. Watched as planning is: who
    makes it waits for no system that hangs. Raises PlanningError, ModelError, DeviceUnavailable, and what `progress`
    raises."""
    case, goal_set = reviewed.case, reviewed.goal_set
    full, dose_gy = FullGrid(case), np.nan_to_num(dose_on_image(reviewed.dose, case.image.grid)[0])
    flat = dose_gy.reshape(-1)
    result = Result(
        reviewed.plan.digest, dose_gy, goal_values(goal_set.goals, full, flat),
        hottest_gy(full, case.external.tg263, flat),
        tuple(opponent.goal for one in traded for opponent in one.against),
    )  # fmt: skip
    coarse = _coarse(reviewed, planning)
    watch = Watch(progress, explain=explained, hang_s=planning.hang_s)

    def make() -> TradeOffSet:
        tps = PhotonTps(case, goal_set, coarse, watch.progress, thin=THIN)
        return trade_off_set(tps, goal_set, result, progress=watch.progress, enough=enough)

    try:
        return watch("making what could be traded", make)
    finally:
        watch.close()


def add_trade_offs(session: Session, progress: Progress, enough: Callable[[], bool] = lambda: False) -> bool:
    """Lays them beside a session in review, and its report that shows them; or beside nothing, with False, where it has
    moved on meanwhile. Raises what `progress` raises, PlanningError, ModelError, and where nothing can be written."""
    plan = session.files.plan()
    reviewed = Reviewed(*session.case(), plan, session.files.dose())
    known = session.stages.trade_offs(reviewed, session.files.trade_offs(), progress, enough)
    files = {NAVIGATION_FILE: navigation_bytes(known), NAVIGATION_JSON: as_json(navigation_document(known))}
    files[REPORT] = session.report_with(known)
    return session.lay_beside(State.IN_REVIEW, ("plan_digest", plan.digest), files)


def is_arc(reviewed: Reviewed, planning: PlanningConfig) -> bool:
    moving = (point.gantry_deg != b.gantry_deg for b in reviewed.plan.beams for point in b.control_points)
    return planning.technique == "vmat" or any(moving)


def _coarse(reviewed: Reviewed, planning: PlanningConfig) -> PlanningConfig:
    """Samples of the re-optimiser that explains, but the plan's own beamlets, so that a combination is a fluence of the
    full planning system as it stands."""
    update: dict[str, object] = {"dose_grid_mm": max(planning.dose_grid_mm, COARSE_GRID_MM)}
    if is_arc(reviewed, planning):
        update |= {"technique": "step_and_shoot", "beams": FIELDS_FOR_ARC}
    return planning.model_copy(update=update)


def realised(
    reviewed: Reviewed, planning: PlanningConfig, known: TradeOffSet, asked: tuple[Wish, Answer], progress: Progress
) -> Realised:
    """A deliverable plan of an answer. Of arcs only the agreed goals are taken over: their fluence is of other
    directions than the set's. Raises PlanningError, ModelError."""
    wish, answer = asked
    agreed = agreed_goals(known, wish, answer)
    fluence = None if is_arc(reviewed, planning) else Navigator(known).fluence(answer)
    try:
        with device_errors():
            operator = Operator(PhotonTps(reviewed.case, agreed, planning, progress), agreed)
            best = realise(operator, fluence, progress).best
            return Realised(*operator.result(best), best.state.goal_values, best.state.hottest_gy)
    except EngineError as error:
        raise explained(error) from error


def compared(known: TradeOffSet, answer: Answer, made: Realised) -> list[tuple[Forecast, float]]:
    """Each goal of the set as it was predicted, beside its value in the deliverable plan."""
    places = {goal: number for number, goal in enumerate(_keys(known))}
    return [(one, made.values[places[one.structure, one.metric, one.comparator]]) for one in answer.goals]


def _keys(known: TradeOffSet) -> list[tuple[str, str, str]]:
    return [(goal.structure, str(goal.metric), goal.comparator.value) for goal in known.goal_set.goals]
