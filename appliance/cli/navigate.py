"""`couchside navigate`: what could be traded around a plan, what a wish would cost, and a plan of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue, TypeAdapter
from rich.console import Group, RenderableType

from appliance.audit import AuditLog
from appliance.case import read_dose, read_plan
from appliance.cli.options import AsJson, ConfigFile, Device, StoreFolder, settings, with_device
from appliance.cli.output import progress, result, table
from appliance.cli.question_page import write_answer
from appliance.cli.results import publish, staged
from appliance.cli.reviewed import Asked, FromFolder, OutFolder, reviewed
from appliance.contracts import Case
from appliance.contracts.navigation import Answer, TradeOffSet, Wish
from appliance.errors import ConfigError, SessionError
from appliance.execution.navigation import Navigator, Realised, parse_wish
from appliance.export import read_back, write_unapproved_set
from appliance.export.report_navigation import answer_section, navigation_section
from appliance.planning import select_device
from appliance.session import next_state
from appliance.session_artefacts import Artefacts
from appliance.session_artefacts import as_json as json_bytes
from appliance.session_navigation import (
    NAVIGATION_FILE,
    compared,
    navigation_document,
    navigation_from_bytes,
    realised,
    trade_offs_around,
)
from appliance.session_record import replay

_ANSWER = TypeAdapter(Answer)

Goal = Annotated[
    str,
    typer.Option("--goal", metavar="WISH", help="'Parotid_L Mean <= 22 Gy', 'less Larynx by 2 Gy', 'more PTV_7000'."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="NAME", help="A structure whose goals may be lost for it; may come again."),
]
Realise = Annotated[
    bool, typer.Option("--realise", help="Make a deliverable plan of the answer, UNAPPROVED, in --out.")
]


def navigate(
    session_or_dir: Asked,
    ct: FromFolder = None,
    goal: Goal = "",
    allow: Allow = None,
    realise: Realise = False,
    out: OutFolder = None,
    device: Device = None,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show what could be traded around a plan, or ask for a change and see what it costs."""
    if realise and not (goal and out):
        raise ConfigError("--realise makes a plan of the answer to --goal in the folder of --out; name both")
    if realise and out is not None and out.exists() and any(out.iterdir()):
        raise ConfigError(f"--realise writes a plan into a folder of its own, and {out} holds something already")
    chosen = with_device(settings(config, store), device)
    select_device(chosen.planning.device)
    files = None if Path(session_or_dir).is_dir() else _session(session_or_dir, chosen.node.store)
    with progress("Navigating") as tell:
        known = _stored(Path(session_or_dir), files)
        if known is None:
            known = trade_offs_around(reviewed(session_or_dir, ct, chosen), chosen.planning, progress=tell)
        asked = _ask(known, goal, tuple(allow or ()))
        made: Realised | None = None
        if realise and out is not None and asked is not None:
            found = reviewed(session_or_dir, ct, chosen)
            made = realised(found, chosen.planning, known, asked, tell)
            _write(found.case, made, out)
    document = _document(known, asked, made)
    revise = f"couchside revise {session_or_dir} --goal '{asked[0]}'" if asked and files is not None else ""
    document["revise"] = revise
    if out is not None:
        page = ("" if asked is None else answer_section(asked[1])) + navigation_section(known)
        write_answer(out, "navigation", "What could be traded", json_bytes(document).rstrip(), page)
    lines = _matrix(known) if asked is None else _answered(known, asked[1], made)
    lines += [f"UNAPPROVED plan, dose and structures are in {out}"] if made is not None else []
    lines += [f"To make it the session's plan: {revise}"] if revise else []
    result(document, Group(*lines), as_json=as_json)


def _session(session: str, store: Path) -> Artefacts:
    standing = replay(AuditLog.read_only(store / "audit.sqlite").rows(), next_state).get(session)
    if standing is None:
        raise SessionError(f"There is no session '{session}', and no folder of that name")
    return Artefacts(store / "sessions" / session, store, lambda: standing.artefacts)


def _stored(folder: Path, files: Artefacts | None) -> TradeOffSet | None:
    """What was made beside the review, of a session read back as recorded; None where there is none yet."""
    if files is not None:
        return navigation_from_bytes(files.load(NAVIGATION_FILE)) if files.has(NAVIGATION_FILE) else None
    beside = folder / NAVIGATION_FILE
    return navigation_from_bytes(beside.read_bytes()) if beside.is_file() else None


def _ask(known: TradeOffSet, goal: str, allowed: tuple[str, ...]) -> tuple[Wish, Answer] | None:
    if not goal:
        return None
    wish = parse_wish(goal, known)
    return wish, Navigator(known).ask(wish, allowed)


def _write(case: Case, made: Realised, out: Path) -> None:
    with staged(out) as staging:
        written = write_unapproved_set(case, made.plan, made.dose, staging)
        read_back(written, case, made.plan, made.dose, read_plan=read_plan, read_dose=read_dose)
        publish(staging, out)


def _document(known: TradeOffSet, asked: tuple[Wish, Answer] | None, made: Realised | None) -> dict[str, JsonValue]:
    document = navigation_document(known)
    document["answer"] = None if asked is None else _ANSWER.dump_python(asked[1], mode="json")
    document["realised"] = None
    if made is not None and asked is not None:
        rows = compared(known, asked[1], made)
        document["realised"] = [
            {"structure": one.structure, "metric": one.metric, "predicted": one.then, "plan": value}
            for one, value in rows
        ]
    return document


def _matrix(known: TradeOffSet) -> list[RenderableType]:
    rows = [
        (str(goal), f"{now:.1f}", *_moves(known, number))
        for number, (goal, now) in enumerate(zip(known.goal_set.goals, known.plan_values, strict=True))
    ]
    columns = ("goal", "now", *(anchor.name for anchor in known.anchors[1:]))
    told = [f"- {anchor.sentence}" for anchor in known.anchors[1:]] or [f"{known.why}."]
    return [table("What could be traded", columns, rows), *told]


def _answered(known: TradeOffSet, answer: Answer, made: Realised | None) -> list[RenderableType]:
    reached = [] if made is None else [f"{value:.1f}" for _, value in compared(known, answer, made)]
    rows = [
        (
            f"{one.name} {one.comparator} {one.limit:g} {one.unit}", f"{one.now:.1f}", f"{one.then:.1f}",
            *reached[place : place + 1], "met" if one.met_then else "missed",
        )
        for place, one in enumerate(answer.goals)
    ]  # fmt: skip
    columns = ("goal", "now", "predicted", *(("plan made",) if reached else ()), "predicted as")
    return [f"{answer.sentence}.", table("", columns, rows)]


def _moves(known: TradeOffSet, number: int) -> tuple[str, ...]:
    middle = known.anchors[0].values[number]
    return tuple(f"{anchor.values[number] - middle:+.1f}" for anchor in known.anchors[1:])
