"""`couchside notes`: what clinical notes say, and what of it does not fit a case."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from appliance.case import assemble
from appliance.cli.options import AsJson, ConfigFile, settings
from appliance.cli.output import result, table
from appliance.cli.replan import with_goals
from appliance.contracts import Case, GoalSet
from appliance.contracts.finding import Finding, Outcome
from appliance.contracts.notes import ClinicalNotes, NoteFact
from appliance.errors import RefusedInput
from appliance.evaluation import choose_goal_set, goal_sets_for_site, goals_for_case, load_goal_set
from appliance.evaluation.notes import NoteEncoder, check_notes, notes_of_folder, read_notes
from appliance.inbound import read_folder

Files = Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="Notes: text or PDF.")]
CaseFolder = Annotated[
    Path | None,
    typer.Option("--case", metavar="DICOM_DIR", help="Case to hold them against; its notes/ folder is read too."),
]
Goals = Annotated[Path | None, typer.Option("--goals", metavar="FILE", help="Goal file (TOML) of the case.")]
Site = Annotated[str, typer.Option("--site", metavar="SITE", help="Shipped goals: head-neck, prostate, c-shape, …")]
Encoder = Annotated[
    Path | None,
    typer.Option("--encoder", metavar="DIR", help="A token classifier beside the rules (docs/evaluation/notes.md)."),
]


def notes(
    files: Files = None,
    case: CaseFolder = None,
    goals: Goals = None,
    site: Site = "",
    encoder: Encoder = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read notes into facts with their quotes; with a case, say what does not fit it. Nothing leaves this machine."""
    sources = [*(files or ()), *(notes_of_folder(case) if case is not None else ())]
    if not sources:
        raise RefusedInput("there are no notes; name files, or put them into notes/ of the case's folder")
    found = read_notes(sources, encoder=NoteEncoder.open(encoder) if encoder is not None else None)
    if case is not None:
        assembled = assemble(read_folder(case))
        planning = with_goals(settings(config), goals, site).planning
        found = replace(found, findings=check_notes(found, assembled, _goals(assembled, planning.goals, planning.site)))
    result(asdict(found), _shown(found), as_json=as_json)


def _goals(case: Case, file: Path | None, site: str) -> GoalSet:
    """As a session chooses them. Raises RefusedGoals."""
    if file is not None:
        return goals_for_case(load_goal_set(file), case)
    return goals_for_case(choose_goal_set(case, goal_sets_for_site(site) if site else None), case)


def _shown(found: ClinicalNotes) -> Group:
    documents = [
        (str(number), document.name, "read" if document.read else "NOT READ", document.why or document.language)
        for number, document in enumerate(found.documents, 1)
    ]
    parts: list[object] = [table("Notes", ("note", "file", "", "language, or what was not read"), documents)]
    if found.facts:
        heads = ("what", "as said", "words", "where", "confidence")
        parts.append(table("Facts", heads, [_fact_row(fact) for fact in found.facts]))
    else:
        parts.append("No facts were found in what was read.")
    if found.findings:
        columns = ("check", "result", "evidence")
        parts.append(table("Against the case", columns, [_finding_row(entry) for entry in found.findings]))
    return Group(*parts)  # type: ignore[arg-type]


def _fact_row(fact: NoteFact) -> tuple[str, ...]:
    course = f" {fact.dose_gy:g} Gy" if fact.dose_gy is not None else ""
    course += f" in {fact.fractions} fractions" if fact.fractions else ""
    what = f"{fact.kind.value.replace('_', ' ')} {fact.value}".strip() + course
    where = f"note {fact.span.document + 1}, page {fact.span.page}, {fact.span.start}-{fact.span.end}"
    doubt = " (overruled)" if fact.overruled else ""
    said = fact.assertion.value.replace("_", " ") + doubt
    return (what, said, fact.span.words, where, f"{fact.confidence:.2f} {fact.by}")


def _finding_row(entry: Finding) -> tuple[str, str, str]:
    shown = entry.severity.value.upper() if entry.outcome is Outcome.FOUND else entry.outcome.value
    return (entry.title, shown, entry.evidence)
