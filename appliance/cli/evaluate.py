"""`couchside evaluate`: somebody's plan and dose, judged as a session would judge its own."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from appliance.approval import IdentityStore
from appliance.case import read_dose
from appliance.cli.attach import DaysSince, Notes, Prior, PriorFractions, attached
from appliance.cli.options import AsJson, ConfigFile, settings
from appliance.cli.output import progress, result
from appliance.cli.replan import Goals, Site, with_goals
from appliance.cli.results import findings_to_look_at, load, publish, scorecard_table, staged
from appliance.contracts import Attachments, CalculatedDose, Case, Evaluation, ExportSet, Plan, PriorStated, Received
from appliance.contracts.dose import AS_RECEIVED
from appliance.contracts.progress import Progress
from appliance.dicomio.files import write_durable
from appliance.errors import IncompleteCase, UncoveredFractionation
from appliance.export.record import write_record
from appliance.session_artefacts import as_json as card_bytes
from appliance.session_headless import read_case
from appliance.session_stages import Stages, Subject
from appliance.session_wiring import real_stages
from appliance.session_work import prescribed

Folder = Annotated[
    Path, typer.Argument(metavar="DICOM_DIR", help="CT and RTSTRUCT, and the RTPLAN and RTDOSE that were made on them.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go.")]


@dataclass(frozen=True, eq=False)
class _Given:
    """What the folder holds, the plan and its dose among it."""

    case: Case
    plan: Plan
    dose: CalculatedDose
    files: ExportSet


def evaluate(
    dicom_dir: Folder,
    out: Out,
    goals: Goals = None,
    site: Site = "",
    notes: Notes = None,
    prior: Prior = None,
    prior_fractions: PriorFractions = 0,
    days_since: DaysSince = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Judge a plan that is there: goals, deliverability, outcome, robustness, reasons; nothing is planned."""
    chosen = with_goals(settings(config), goals, site)
    with ExitStack() as stack:
        staging = stack.enter_context(staged(out))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="couchside-")))
        tell = stack.enter_context(progress("Evaluating"))
        tell("reading", 0.0)
        received, remarks = read_case(dicom_dir)
        laid_beside = attached(folder, notes, prior, PriorStated(prior_fractions, days_since))
        stages = real_stages(chosen, IdentityStore(folder / "identities"), laid_beside)
        given = _given(stages, received)
        evaluation = _judge(stages, given, laid_beside, folder, staging, tell)
        card = stages.scorecard(evaluation)
        write_durable(card_bytes(card), staging / "scorecard.json")
        write_record(given.case, given.plan, evaluation, card, None, given.files, folder=staging)
        publish(staging, out)
    document = {"out": str(out), "scorecard": load(out / "scorecard.json"), "notes": list(remarks)}
    lines = findings_to_look_at(load(out / "scorecard.json"))
    lines.append(f"The judgement is in {out}; open {out / 'report.html'}. Research software, not for clinical use.")
    result(document, Group(scorecard_table(out, whose="this plan"), *lines), as_json=as_json)


def _given(stages: Stages, received: tuple[Received, ...]) -> _Given:
    """Raises IncompleteCase where plan or dose is missing, or the dose is of another plan."""
    case = stages.assemble(received)
    by_modality = {item.modality: item for item in received}
    plan_object, dose_object = by_modality.get("RTPLAN"), by_modality.get("RTDOSE")
    if case.reference_plan is None or plan_object is None or dose_object is None:
        raise IncompleteCase(
            "a plan and its dose are needed to be judged", remedy="Put the RTPLAN and its RTDOSE into the folder"
        )
    if plan_object.sop_instance_uid not in dose_object.references:
        raise IncompleteCase("the dose is not of this plan", remedy="Put the dose of this plan into the folder")
    grid, dose_gy = read_dose(dose_object.path)
    plan, drawn = case.reference_plan, by_modality["RTSTRUCT"]
    objects = (plan_object, dose_object, drawn)
    files = ExportSet(
        plan_object.path,
        (dose_object.path,),
        drawn.path,
        tuple(item.sop_instance_uid for item in objects),
        tuple(item.sha256 for item in objects),
        approved=False,
    )
    return _Given(case, plan, CalculatedDose(grid, dose_gy, plan.digest, AS_RECEIVED, AS_RECEIVED), files)


def _judge(
    stages: Stages, given: _Given, laid_beside: Attachments, folder: Path, staging: Path, tell: Progress
) -> Evaluation:
    """As a session does it, the report included."""
    goal_file = folder / "goals.toml"
    write_durable(stages.choose_goals(given.case), goal_file)
    write_durable(goal_file.read_bytes(), staging / goal_file.name)
    goal_set = stages.goals_for_case(goal_file, given.case)
    case, plan, dose = prescribed(given.case, goal_set), given.plan, given.dose
    if plan.fractions != goal_set.fractions:
        raise UncoveredFractionation(
            f"the plan has {plan.fractions} fractions, and '{goal_set.name}' is for {goal_set.fractions}. Name goals "
            "for this course with --site or --goals"
        )
    second, _ = stages.second_check(case, plan, dose, tell)
    second = replace(second, secondary_file="")  # the second dose is not written here
    evaluation = replace(stages.evaluate(case, goal_set, dose, stages.check_plan(plan)), second_check=second)
    prediction = stages.predict(case, goal_set, tell)
    evaluation = stages.beside_prediction(case, goal_set, prediction.dose, evaluation)
    evaluation = replace(evaluation, notes=(*evaluation.notes, *prediction.sentences))
    subject = Subject(case, goal_set, plan, dose, stages.on_image(dose, case), None, laid_beside)
    evaluation = stages.deepen(subject, evaluation, tell)
    stages.write_report(subject, evaluation, (), staging / "report.html", None, prediction)
    return evaluation
