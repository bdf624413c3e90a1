"""`couchside navigate`: what could be traded around a plan, what a wish would cost, and a plan of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue, TypeAdapter
from rich.console import Group, RenderableType

from appliance.case import read_dose, read_plan
from appliance.cli.options import AsJson, ConfigFile, Device, StoreFolder, settings, with_device
from appliance.cli.output import progress, result, table
from appliance.cli.question_page import write_answer
from appliance.cli.results import publish, staged
from appliance.cli.reviewed import Asked, FromFolder, OutFolder, reviewed, session_files
from appliance.cli.revise import Who, carry_out, shown
from appliance.contracts import Case, TakeTrade
from appliance.contracts.navigation import Answer, Forecast, TradeOffSet, Wish
from appliance.errors import ConfigError, RefusedEdit
from appliance.execution.navigation import Navigator, Realised, parse_wish
from appliance.export import read_back, write_unapproved_set
from appliance.export.report_navigation import answer_section, navigation_section
from appliance.planning import select_device
from appliance.session_artefacts import Artefacts
from appliance.session_artefacts import as_json as json_bytes
from appliance.session_edits import NOT_KNOWN
from appliance.session_navigation import compared, realised, trade_offs_around
from appliance.session_traded import NAVIGATION_FILE, navigation_document, navigation_from_bytes, traded_of

_ANSWER = TypeAdapter(Answer)
Pairs = list[tuple[Forecast, float]]
"""Each goal as it was predicted, beside its value in the plan that was made."""

Goal = Annotated[
    str,
    typer.Option("--goal", metavar="WISH", help="'Parotid_L Mean <= 22 Gy', 'less Larynx by 2 Gy', 'more PTV_7000'."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="NAME", help="A structure whose goals may be lost for it; may come again."),
]
Realise = Annotated[
    bool,
    typer.Option("--realise", help="Make a deliverable plan of the answer: the session's; of a folder one in --out."),
]


def navigate(
    session_or_dir: Asked,
    ct: FromFolder = None,
    goal: Goal = "",
    allow: Allow = None,
    realise: Realise = False,
    identity: Who = "",
    out: OutFolder = None,
    device: Device = None,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show what could be traded around a plan, or ask for a change and see what it costs."""
    is_folder = Path(session_or_dir).is_dir()
    _demand_all(realise and is_folder, goal, out)
    if realise and not goal:
        raise ConfigError("--realise makes a plan of the answer to --goal; name a wish")
    chosen = with_device(settings(config, store), device)
    select_device(chosen.planning.device)
    files = None if is_folder else session_files(session_or_dir, chosen.node.store)[1]
    revised: dict[str, JsonValue] | None = None
    pairs: Pairs | None = None
    with progress("Navigating") as tell:
        known = _stored(Path(session_or_dir), files)
        if known is None:
            if realise and not is_folder:
                raise RefusedEdit(NOT_KNOWN)
            known = trade_offs_around(reviewed(session_or_dir, ct, chosen), chosen.planning, progress=tell)
        asked = _ask(known, goal, tuple(allow or ()))
        if realise and not is_folder and asked is not None:
            edits = (TakeTrade(asked[0], tuple(allow or ())),)
            revised = carry_out(chosen, session_or_dir, edits, identity, tell)
        elif realise and out is not None and asked is not None:
            found = reviewed(session_or_dir, ct, chosen)
            made = realised(found, chosen.planning, known, asked, tell)
            _write(found.case, made, out)
            pairs = compared(known, asked[1], made)
    if revised is not None and asked is not None:
        pairs = _reached(asked[1], revised)
    document = _document(known, asked, pairs)
    revise = f"couchside revise {session_or_dir} --goal '{asked[0]}'" if asked and files and not revised else ""
    document |= {"revise": revise, "revision": revised}
    if out is not None:
        page = ("" if asked is None else answer_section(asked[1])) + navigation_section(known)
        write_answer(out, "navigation", "What could be traded", json_bytes(document).rstrip(), page)
    lines = _matrix(known) if asked is None else _answered(asked[1], pairs)
    lines += [f"UNAPPROVED plan, dose and structures are in {out}"] if realise and is_folder else []
    lines += [f"To make it the session's plan: add --realise, or {revise}"] if revise else []
    lines += [] if revised is None else [shown(revised)]
    result(document, Group(*lines), as_json=as_json)


def _demand_all(is_proposal: bool, goal: str, out: Path | None) -> None:
    """What a plan beside a folder needs. Raises ConfigError."""
    if is_proposal and not (goal and out):
        raise ConfigError("--realise makes a plan of the answer to --goal in the folder of --out; name both")
    if is_proposal and out is not None and out.exists() and any(out.iterdir()):
        raise ConfigError(f"--realise writes a plan into a folder of its own, and {out} holds something already")


def _stored(folder: Path, files: Artefacts | None) -> TradeOffSet | None:
    """What was made beside the review, of a session read back as recorded; None where there is none yet."""
    if files is not None:
        return traded_of(files)
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


def _reached(answer: Answer, revised: dict[str, JsonValue]) -> Pairs:
    """The same of the session's plan, as it was judged."""
    goals = revised["goals"] if isinstance(revised["goals"], list) else []
    judged = [goal for goal in goals if isinstance(goal, dict)]
    values = {(goal["structure"], goal["metric"], goal["comparator"]): goal["after"] for goal in judged}
    keys = [(one, (one.structure, one.metric, one.comparator)) for one in answer.goals]
    return [(one, float(str(values[key]))) for one, key in keys if key in values]


def _document(known: TradeOffSet, asked: tuple[Wish, Answer] | None, pairs: Pairs | None) -> dict[str, JsonValue]:
    document = navigation_document(known)
    document["answer"] = None if asked is None else _ANSWER.dump_python(asked[1], mode="json")
    document["realised"] = None
    if pairs is not None:
        document["realised"] = [
            {"structure": one.structure, "metric": one.metric, "predicted": one.then, "plan": value}
            for one, value in pairs
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


def _answered(answer: Answer, pairs: Pairs | None) -> list[RenderableType]:
    reached = {id(one): f"{value:.1f}" for one, value in pairs or []}
    rows = [
        (
            f"{one.name} {one.comparator} {one.limit:g} {one.unit}", f"{one.now:.1f}", f"{one.then:.1f}",
            *([reached.get(id(one), "–")] if reached else []), "met" if one.met_then else "missed",
        )
        for one in answer.goals
    ]  # fmt: skip
    columns = ("goal", "now", "predicted", *(("plan made",) if reached else ()), "predicted as")
    return [f"{answer.sentence}.", table("", columns, rows)]


def _moves(known: TradeOffSet, number: int) -> tuple[str, ...]:
    middle = known.anchors[0].values[number]
    return tuple(f"{anchor.values[number] - middle:+.1f}" for anchor in known.anchors[1:])
