"""`couchside audit show | verify | export`: the log, read without touching it."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from appliance.audit import AuditLog
from appliance.audit import export as export_log
from appliance.audit import verify as verify_log
from appliance.cli.options import AsJson, ConfigFile, StoreFolder, settings
from appliance.cli.output import result, table
from appliance.errors import AuditError

app = typer.Typer(help="Read, verify and export the audit log.", no_args_is_help=True)

OfSession = Annotated[str, typer.Option("--session", metavar="SESSION", help="Only this session's rows.")]
Last = Annotated[int, typer.Option("--last", metavar="N", min=1, help="At most this many rows, the newest.")]
Destination = Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON lines are written here.")]
Anchor = Annotated[
    Path | None, typer.Option("--anchor", metavar="FILE", help="A copy of the checkpoint file kept elsewhere.")
]


def _path(config: Path | None, store: Path | None) -> Path:
    return settings(config, store).node.store / "audit.sqlite"


@app.command("show")
def show(
    session: OfSession = "",
    last: Last = 50,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest rows."""
    rows = deque(AuditLog.read_only(_path(config, store)).rows(session_id=session or None), maxlen=last)
    shown = [
        (str(row.seq), row.time_utc[:19], row.session_id, row.actor, row.event, json.dumps(row.data)[:100])
        for row in rows
    ]
    columns = ("row", "time (UTC)", "session", "actor", "event", "data")
    result({"rows": [asdict(row) for row in rows]}, table("", columns, shown), as_json=as_json)


@app.command("verify")
def verify(
    anchor: Anchor = None, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False
) -> None:
    """Prove that the log is whole, or name the first bad row (then the exit code is 9)."""
    found = verify_log(_path(config, store), anchor=anchor)
    if found.ok:
        text = f"The audit log is whole: {found.rows} rows, {found.signed_rows} of them signed"
    else:
        where = "" if found.first_bad_seq is None else f", first at row {found.first_bad_seq}"
        text = f"The audit log is NOT whole{where}: {found.reason}"
    result(asdict(found), text, as_json=as_json)
    if not found.ok:
        raise typer.Exit(AuditError.exit_code)


@app.command("export")
def export(out: Destination, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Write the whole log as JSON lines."""
    found = export_log(_path(config, store), out)
    result({"out": str(out), **asdict(found)}, f"{found.rows} rows written to {out}", as_json=as_json)
    if not found.ok:
        raise typer.Exit(AuditError.exit_code)
