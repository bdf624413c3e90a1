"""`couchside sessions`: where every session stands, asked of the node, or read from the log where none runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.table import Table

from appliance.audit import AuditLog
from appliance.cli.options import AsJson, ConfigFile, StoreFolder, settings
from appliance.cli.output import result, table
from appliance.errors import NodeError, SessionError
from appliance.node import ask
from appliance.session import next_state
from appliance.session_record import replay

OneSession = Annotated[str, typer.Argument(metavar="[SESSION]", help="Show only this one, with its notes.")]


def sessions(
    session: OneSession = "", config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False
) -> None:
    """List the sessions, or show one."""
    document = read_status(settings(config, store).node.store)
    listed = [entry for entry in _entries(document) if session in ("", entry["session"])]
    if session and not listed:
        raise SessionError(f"There is no session '{session}'; 'couchside sessions' lists them")
    result(
        document | {"sessions": [dict(entry) for entry in listed]},
        _lines(listed[0]) if session else _table(document, listed),
        as_json=as_json,
    )


def read_status(store: Path) -> dict[str, JsonValue]:
    try:
        answer = ask(store, {"command": "status"})
    except NodeError:
        rows = AuditLog.read_only(store / "audit.sqlite").rows()
        found: list[JsonValue] = [standing.summary() for standing in replay(rows, next_state).values()]
        return {"running": False, "sessions": found}
    return {"running": True, "node": answer["node"], "sessions": answer["sessions"]}


def _entries(document: dict[str, JsonValue]) -> list[dict[str, JsonValue]]:
    listed = document["sessions"]
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _remark(entry: dict[str, JsonValue]) -> str:
    goals = f"{entry['goals_met']} of {entry['goals_total']} goals" if entry.get("goals_total") else ""
    reason = f"; approving needs a reason: {entry['to_acknowledge']}" if entry.get("to_acknowledge") else ""
    return str(entry.get("held") or entry.get("why") or entry.get("step") or goals + reason)


def _table(document: dict[str, JsonValue], listed: list[dict[str, JsonValue]]) -> Table:
    title = "The node is running" if document["running"] else "No node is running; from the audit log"
    rows = [(str(e["session"]), str(e["state"]), str(e["since_utc"])[:19], _remark(e)) for e in listed]
    return table(title, ("session", "state", "since (UTC)", ""), rows)


def _lines(entry: dict[str, JsonValue]) -> str:
    notes = entry["notes"] if isinstance(entry["notes"], list) else []
    lines = [f"{entry['session']}: {entry['state']} since {str(entry['since_utc'])[:19]} UTC", _remark(entry)]
    return "\n".join([line for line in lines if line] + [f"- {text}" for text in notes])
