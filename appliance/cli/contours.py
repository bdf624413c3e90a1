"""`couchside contours show | confirm`: today's contours of a session, before a plan is made on them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group

from appliance.approval import IdentityStore
from appliance.cli.anatomy_page import anatomy_tables
from appliance.cli.approve import FromStdin, only_identity, read_passphrase
from appliance.cli.options import AsJson, ConfigFile, SessionId, StoreFolder, settings
from appliance.cli.output import result
from appliance.cli.results import load
from appliance.errors import SessionError
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
    ask(folder, {"command": "status"})
    name = identity or only_identity(IdentityStore(folder / "identities"))
    passphrase = read_passphrase(f"Passphrase of {name}: ", from_stdin=passphrase_stdin)
    request = {"command": "confirm-contours", "session": session, "identity": name, "passphrase": passphrase}
    answer = ask(folder, dict(request | {"reason": reason}))
    result(answer, f"{session}: today's contours are confirmed by {name}, planning goes on", as_json=as_json)
