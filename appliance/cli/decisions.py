"""`couchside reject | choose-scheduled | stop | retry`: what else a person may decide about a session.

One file for four commands, because each is one line to the node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import AsJson, ConfigFile, Reason, SessionId, StoreFolder, settings
from appliance.cli.output import result
from appliance.node import ask

Decider = Annotated[
    str,
    typer.Option("--identity", metavar="NAME", help="Whose decision it is: a registered person, without passphrase."),
]


def reject(
    session: SessionId,
    reason: Reason,
    identity: Decider = "",
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Reject the plan in review; nothing is exported."""
    _send("reject", session, reason, settings(config, store).node.store, identity=identity, as_json=as_json)


def choose_scheduled(
    session: SessionId,
    reason: Reason,
    identity: Decider = "",
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Treat with the scheduled plan instead of the adapted one; nothing is exported."""
    _send("choose-scheduled", session, reason, settings(config, store).node.store, identity=identity, as_json=as_json)


def stop(
    session: SessionId,
    reason: Reason,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Stop a session for good, at once or as soon as the running stage lets go."""
    _send("stop", session, reason, settings(config, store).node.store, as_json=as_json)


def retry(session: SessionId, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Run a failed session again, or send an approved plan again that its peer did not take."""
    _send("retry", session, "", settings(config, store).node.store, as_json=as_json)


def _send(command: str, session: str, reason: str, store: Path, *, identity: str = "", as_json: bool) -> None:
    request = {"command": command, "session": session, "reason": reason} | ({"identity": identity} if identity else {})
    answer = ask(store, dict(request))
    described = answer["session"]
    state = described.get("state", "") if isinstance(described, dict) else ""
    result(answer, f"{session} is now '{state}'", as_json=as_json)
