"""`couchside contours show | edit | undo | redo | confirm`: today's contours of a session, before a plan is made on
them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Group

from appliance.cli.anatomy_page import anatomy_tables
from appliance.cli.approve import FromStdin, who_signs
from appliance.cli.options import AsJson, ConfigFile, SessionId, StoreFolder, settings
from appliance.cli.output import result, table
from appliance.cli.results import load
from appliance.errors import RefusedContourEdit, SessionError
from appliance.node import ask

app = typer.Typer(help="Today's contours before a plan is made on them.", no_args_is_help=True)

Confirmer = Annotated[
    str, typer.Option("--identity", metavar="NAME", help="Who confirms; may be left out where one is registered.")
]
Why = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why all the same, where a measure is beyond its limit.")
]


@app.command("show")
def show(session: SessionId, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """How today lies to the reference, what was measured, and what changed."""
    folder = settings(config, store).node.store / "sessions" / session / "today"
    report = load(folder / "anatomy.json")
    if report is None:
        raise SessionError(f"Session '{session}' has no anatomy of today that was found here")
    result({"session": session, "anatomy": report}, Group(*anatomy_tables(folder)), as_json=as_json)


Editor = Annotated[str, typer.Option("--identity", metavar="NAME", help="Who edits: a registered person.")]
EditsFile = Annotated[Path, typer.Argument(metavar="FILE", help="JSON list of edits (docs/contours.md).")]


@app.command("edit")
def edit(
    session: SessionId,
    file: EditsFile,
    identity: Editor = "",
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Change contours slice by slice; all edits of the file or none. A plan in review is then planned again."""
    try:
        edits = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedContourEdit(
            f"{file.name} cannot be read as JSON", remedy="docs/contours.md has an example"
        ) from error
    _act({"act": "edit", "edits": edits}, session, identity, settings(config, store).node.store, as_json=as_json)


@app.command("undo")
def undo(
    session: SessionId,
    identity: Editor = "",
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Take the last edit back."""
    _act({"act": "undo"}, session, identity, settings(config, store).node.store, as_json=as_json)


@app.command("redo")
def redo(
    session: SessionId,
    identity: Editor = "",
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make an edit again that was taken back."""
    _act({"act": "redo"}, session, identity, settings(config, store).node.store, as_json=as_json)


def _act(act: dict[str, JsonValue], session: str, identity: str, folder: Path, *, as_json: bool) -> None:
    request: dict[str, JsonValue] = {"command": "contours", "session": session, "identity": identity}
    answer = ask(folder, request | act)
    effect = answer["effect"] if isinstance(answer["effect"], list) else []
    rows = [row for one in effect if isinstance(one, dict) for row in _rows(one)]
    notes = answer["notes"] if isinstance(answer["notes"], list) else []
    columns = ("structure", "volume cc", "goal", "scheduled plan today")
    result(answer, Group(table("What changed", columns, rows), *(f"- {note}" for note in notes)), as_json=as_json)


def _rows(one: dict[str, JsonValue]) -> list[tuple[str, ...]]:
    goals = [goal for goal in one["goals"] if isinstance(goal, dict)] if isinstance(one["goals"], list) else []
    head = str(one["structure"]), f"{float(str(one['volume_cc'])):.2f}"
    said = [(str(g["goal"]), "–" if g["value"] is None else f"{float(str(g['value'])):.2f} {g['unit']}") for g in goals]
    return [(*head, *goal) for goal in said] or [(*head, "", "")]


@app.command("confirm")
def confirm(
    session: SessionId,
    identity: Confirmer = "",
    reason: Why = "",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Confirm today's contours with your passphrase; the node then plans on them."""
    folder = settings(config, store).node.store
    name, passphrase = who_signs(folder, identity, from_stdin=passphrase_stdin)
    request = {"command": "confirm-contours", "session": session, "identity": name, "passphrase": passphrase}
    answer = ask(folder, dict(request | {"reason": reason}))
    result(answer, f"{session}: today's contours are confirmed by {name}, planning goes on", as_json=as_json)
