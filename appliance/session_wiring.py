"""The real stages, bound to one configuration. Here, and only here, they meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from appliance.approval import IdentityStore, verify_approval
from appliance.case import assemble, read_dose, read_plan
from appliance.case.today import contour_desk, find_anatomy, why_confirm, write_edited
from appliance.config import Config
from appliance.contracts import (
    Approval,
    Attachments,
    CalculatedDose,
    Case,
    Evaluation,
    ExportSet,
    GoalSet,
    Plan,
    Prediction,
)
from appliance.contracts.passage import PassageAnswer
from appliance.contracts.progress import Progress
from appliance.errors import PlanningError, RefusedGoals
from appliance.evaluation import (
    choose_goal_set,
    evaluate,
    goal_sets_for_site,
    goals_for_case,
    load_goal_set,
    scorecard,
)
from appliance.evaluation.dose_on_image import dose_on_image
from appliance.evaluation.guidelines.store import GuidelineStore
from appliance.evaluation.retrieval import Library, passages_for_goals, shipped_passages
from appliance.export import (
    read_back,
    send,
    write_contours_page,
    write_export_set,
    write_second_dose,
    write_unapproved_set,
)
from appliance.export.record import write_record
from appliance.export.report import Beside, write_report
from appliance.inbound import AttachmentShelf
from appliance.planning import calculate_dose, check_plan, dose_options, select_device
from appliance.session_deepen import deepened
from appliance.session_guidelines import guideline_store
from appliance.session_judgement import segmenter_of
from appliance.session_navigation import trade_offs_around
from appliance.session_plan import planned
from appliance.session_predict import predict_case
from appliance.session_predicted import beside_prediction
from appliance.session_replan import revised_plan, traded_plan
from appliance.session_second import second_check
from appliance.session_stages import Reviewed, Stages

NOTE_UNSIGNED = (
    "The goals are from a file that was named by hand (--goals or planning.goals), not from a signed guideline package"
)


NO_PLAN = (
    "There is no RTPLAN to compare with, only a reference dose: what the scheduled plan would do on today's anatomy "
    "cannot be calculated"
)


def real_stages(config: Config, identities: IdentityStore, attached: Attachments | None = None) -> Stages:
    """attached: in the place of what the store has for the patient. Raises DeviceUnavailable where the configuration
    demands a GPU that cannot be used."""
    planning = config.planning
    select_device(planning.device)
    guidelines = guideline_store(config.node.store)

    def proposal(case: Case, made: Plan, dose: CalculatedDose, folder: Path) -> ExportSet:
        return write_unapproved_set(case, made, dose, folder, per_beam_dose=planning.per_beam_dose)

    def export_set(case: Case, made: Plan, dose: CalculatedDose, approval: Approval, folder: Path) -> ExportSet:
        return write_export_set(case, made, dose, approval, folder, per_beam_dose=planning.per_beam_dose)

    return Stages(
        find_anatomy=partial(find_anatomy, config.anatomy, segmenter=segmenter_of(config.anatomy)),
        write_contours_page=write_contours_page,
        contour_desk=partial(contour_desk, config.anatomy),
        write_contours=write_edited,
        contours_to_confirm=partial(why_confirm, config.anatomy),
        assemble=assemble,
        attachments=AttachmentShelf(config.node.store).of if attached is None else lambda _: attached,
        choose_goals=partial(_goal_file, config, guidelines),
        goals_for_case=_goals_for_case,
        predict=partial(predict_case, config),
        plan=partial(planned, config),
        revise=partial(revised_plan, planning),
        take_trade=partial(traded_plan, planning),
        check_plan=lambda made: check_plan(made, planning.machine),
        evaluate=evaluate,
        beside_prediction=beside_prediction,
        second_check=partial(second_check, planning),
        on_image=lambda dose, case: dose_on_image(dose, case.image.grid)[0],
        deepen=partial(deepened, config),
        scheduled=partial(_scheduled, config),
        scorecard=scorecard,
        write_report=_reported,
        confirm=partial(_confirmed, identities),
        sign=identities.sign,
        verify_approval=lambda approval: verify_approval(approval, identities),
        write_export_set=export_set,
        write_proposal=proposal,
        read_back=lambda written, case, made, dose: read_back(
            written, case, made, dose, read_plan=read_plan, read_dose=read_dose
        ),
        write_record=partial(_recorded, config.peer.send_record),
        write_second_dose=lambda case, second, written: write_second_dose(case, second, written, read_dose=read_dose),
        trade_offs=lambda reviewed, traded, progress, enough: trade_offs_around(
            reviewed, planning, traded, progress=progress, enough=enough
        ),
        send=lambda written, progress: send(written, config.peer, calling_ae=config.node.ae_title, progress=progress),
    )


def _confirmed(identities: IdentityStore, name: str, passphrase: str, statement: bytes) -> tuple[str, str]:
    person, signature = identities.confirm(name, passphrase, statement)
    return f"{person.name} ({person.role})", signature


def _reported(
    reviewed: Reviewed,
    judged: Evaluation,
    timing: Sequence[Mapping[str, JsonValue]],
    path: Path,
    scheduled: Evaluation | None,
    prediction: Prediction,
) -> None:
    told = prediction, reviewed.story, reviewed.traded, reviewed.anatomy
    beside = Beside(scheduled, _why(reviewed.goal_set), *told)
    given = (reviewed.case, reviewed.goal_set, reviewed.plan, reviewed.dose)
    write_report(*given, judged, timing, path, beside=beside)


def _recorded(
    is_sent: bool, case: Case, made: Plan, judged: Evaluation, approval: Approval | None, written: ExportSet
) -> tuple[ExportSet, tuple[Path, ...]]:
    files = write_record(case, made, judged, scorecard(judged), approval, written)
    if not is_sent:
        return written, files.paths
    documents = {document.path: document.sha256 for document in files.documents}
    sent = replace(written, documents=tuple(documents), document_sha256=tuple(documents.values()))
    return sent, files.paths


def _why(goal_set: GoalSet) -> tuple[tuple[str, PassageAnswer], ...]:
    """The passage of each goal, by its own name and metric: no search by meaning is needed for that."""
    library = Library(shipped_passages(), reason="goals are looked up by name")
    return passages_for_goals(goal_set.goals, library, fractions=goal_set.fractions)


def _goal_file(config: Config, guidelines: GuidelineStore, case: Case) -> bytes:
    """The goal file that the configuration names, or else the one of an active guideline that fits. Raises
    RefusedGoals; RefusedPackage for a guideline that was altered."""
    if config.planning.goals is not None:
        load_goal_set(config.planning.goals)
        return config.planning.goals.read_bytes()
    known = guidelines.usable()
    try:
        if config.planning.site:
            known = goal_sets_for_site(config.planning.site, known)
        goal_set = known[0] if config.planning.site and len(known) == 1 else choose_goal_set(case, known)
    except RefusedGoals as error:
        if expired := guidelines.expired():
            raise type(error)(f"{error.fields['reason']}. {' '.join(expired)}") from error
        raise
    return guidelines.goal_file(goal_set.name)


def _goals_for_case(path: Path, case: Case) -> GoalSet:
    """What of a session's copy of a goal file applies. A file of one's own is followed, and it is said."""
    goal_set = load_goal_set(path)
    if goal_set.guideline is None:
        goal_set = replace(goal_set, notes=(*goal_set.notes, NOTE_UNSIGNED))
    return goals_for_case(goal_set, case)


def _scheduled(
    config: Config, case: Case, goal_set: GoalSet, progress: Progress
) -> tuple[Evaluation | None, CalculatedDose | None, str]:
    """The reference plan recalculated on today's image: where the table shift brings it to, if today's anatomy was
    found, else at the coordinates it was made for. Without a plan, but with its dose, a sentence says so."""
    if case.reference_plan is None:
        return None, None, "" if case.reference_dose_gy is None else NO_PLAN
    planning = config.planning
    try:
        dose = calculate_dose(
            case.reference_plan,
            case.image,
            case.external.voxels,
            progress=progress,
            **dose_options(planning, case.structures),
        )
        facts = check_plan(case.reference_plan, planning.machine)
    except PlanningError as error:
        return None, None, f"The scheduled plan was not recalculated: {error.sentence}"
    return evaluate(case, goal_set, dose, facts), dose, ""
