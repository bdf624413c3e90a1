"""The planning stage of a session: planning system, scorer, policy and prediction meet in the virtual planner here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from appliance.config import Config, PlanningConfig
from appliance.contracts import CalculatedDose, Case, GoalSet, Plan, Planned, PredictedDose, ReferenceStart, Working
from appliance.contracts.progress import Progress
from appliance.errors import CouchsideError, DeviceUnavailable, EvaluationError, PlanningError
from appliance.evaluation.dose_on_image import dose_on_image
from appliance.evaluation.judged import Judged, Regions
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.execution import Guide
from appliance.execution.anytime import Way, plan_anytime
from appliance.execution.deadline import Deadline
from appliance.execution.exploring import Exploring
from appliance.execution.from_reference import plan_from_reference
from appliance.execution.steering.observation import VOLUMES_PERCENT
from appliance.execution.watch import TPS_FAILURES, Watch, failed
from appliance.execution.watched import WatchedTps, watched
from appliance.planning import PhotonTps
from appliance.planning.coarse import CoarseTps
from appliance.session_guide import guide_by_reference, guide_for
from appliance.session_policy import Steering, steering_of
from appliance.session_reference import limit_notes, reference_start
from engines.errors import DeviceError, EngineError


def planned(
    config: Config,
    case: Case,
    goal_set: GoalSet,
    predicted: PredictedDose | None,
    progress: Progress,
    *,
    steering: Steering | None = None,
) -> Planned:
    """steering: in the place of the configured policy. Raises PlanningError, also for what the dose engine cannot
    compute. What cannot guide or steer is left aside, and it is said."""
    planning = config.planning
    notes = limit_notes(case, goal_set)
    watch = Watch(progress, Deadline(planning.budget_s), explain=explained, hang_s=planning.hang_s)
    try:
        tps = watch("preparing the case", lambda: PhotonTps(case, goal_set, planning, watch.progress))
        guide, start = _guide(config.planning, case, goal_set, predicted, notes)
        chosen = steering_of(config) if steering is None else steering
        way = Way(
            scorer=plan_scorer(goal_set),
            exploring=_exploring(config, case, goal_set, guide, chosen),
            guide=guide,
            sparing_rounds=planning.sparing_rounds,
            is_template=planning.policy == "template",
            fallback=chosen.fallback,
            policy_sha256=chosen.sha256,
            curves=partial(curves_of, Regions(case), goal_set),
            notes=tuple(notes),
            start=start,
        )
        made = _made(watched(tps, watch), goal_set, way, progress, reference_start(planning, case))
        return replace(made, working=working_of(tps, watch, made.plan))
    finally:
        watch.close()


def working_of(tps: PhotonTps, watch: Watch, plan: Plan) -> Working | None:
    """What a revision of the plan goes on from; None where the planning system stands elsewhere. One that hangs is not
    asked: its call may come back and change what is read."""
    with suppress(*TPS_FAILURES):  # why it failed was said when it did
        return watch("keeping where planning stands", lambda: tps.working() if tps.stands_at(plan) else None)
    return None


def explained(error: Exception) -> CouchsideError:
    """What a device or the dose engine fails with, for a person."""
    if isinstance(error, DeviceError):
        return DeviceUnavailable(str(error))
    if isinstance(error, EngineError):
        return PlanningError(f"the dose engine cannot compute this case ({error}); send the case to support")
    return failed(error)


def _exploring(
    config: Config, case: Case, goal_set: GoalSet, guide: Guide | None, steering: Steering
) -> Exploring | None:
    if steering.policy is None:
        return None
    return Exploring(
        steering.policy,
        lambda: CoarseTps(case, goal_set, _with_static_beams(config.planning, goal_set)),
        plan_scorer(goal_set),
        foreseen=() if guide is None else guide.foreseen,
        explain=explained,
    )


def _with_static_beams(planning: PlanningConfig, goal_set: GoalSet) -> PlanningConfig:
    """As many evenly spaced directions as the goal set has static beams stand for arcs, which `beams` counts there."""
    return planning.model_copy(update={"beams": goal_set.beams}) if planning.technique == "vmat" else planning


def _made(
    tps: WatchedTps, goal_set: GoalSet, way: Way, progress: Progress, reference: ReferenceStart | None
) -> Planned:
    if reference is None:
        return plan_anytime(tps, goal_set, way, progress)
    return plan_from_reference(tps, goal_set, way=way, reference=reference, progress=progress)


def _guide(
    planning: PlanningConfig, case: Case, goal_set: GoalSet, predicted: PredictedDose | None, notes: list[str]
) -> tuple[Guide | None, str]:
    """What a dose says beforehand, and what planning begins with by it. Where a plan is adapted of which only the dose
    is at hand, that is imitated."""
    guide = None
    if predicted is not None:
        try:
            guide = guide_for(case, goal_set, predicted)
        except PlanningError as error:
            notes.append(f"Planned without the predicted dose: {error.fields['reason']}")
    if planning.start != "reference" or case.reference_plan is not None or case.reference_dose_gy is None:
        return guide, "goals"
    try:
        guide = guide_by_reference(case, goal_set, guide)
    except PlanningError as error:
        notes.append(f"Planned without the reference dose: {error.fields['reason']}")
        return guide, "goals"
    notes.append("The first fluence imitates the reference dose: there is no reference plan to begin with")
    return guide, "dose"


def curves_of(regions: Regions, goal_set: GoalSet, dose: CalculatedDose) -> dict[str, tuple[float, ...]]:
    """Of prescribed targets and of the structures of goals, for the story; of unions of structures none."""
    judged = Judged(regions, dose_on_image(dose, regions.case.image.grid)[0])
    names = dict.fromkeys([*(name for name, _ in goal_set.prescription), *(goal.structure for goal in goal_set.goals)])
    curves = {}
    for name in names:
        try:
            volume = judged.volume(name)
        except EvaluationError:  # absent today
            continue
        curves[name] = tuple(float(volume.dose_at_percent(percent)) for percent in VOLUMES_PERCENT)
    return curves
