"""`couchside approve`: a person signs exactly the plan in review."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.approval import IdentityStore
from appliance.cli.options import AsJson, ConfigFile, SessionId, StoreFolder, settings
from appliance.cli.output import result
from appliance.errors import ApprovalError
from appliance.node import ask

IdentityName = Annotated[
    str, typer.Option("--identity", metavar="NAME", help="Who approves; may be left out where one is registered.")
]
FromStdin = Annotated[
    bool, typer.Option("--passphrase-stdin", help="Read the passphrase from the first line of stdin.")
]
Acknowledge = Annotated[
    str,
    typer.Option(
        "--acknowledge",
        metavar="REASON",
        help="Why the plan is approved although no second calculation agrees or a finding stops it; signed and "
        "recorded, without the patient's name.",
    ),
]


def approve(
    session: SessionId,
    identity: IdentityName = "",
    acknowledge: Acknowledge = "",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Approve the plan in review with your passphrase; the node then exports and sends it."""
    folder = settings(config, store).node.store
    name, passphrase = who_signs(folder, identity, from_stdin=passphrase_stdin)
    request = {"command": "approve", "session": session, "identity": name, "passphrase": passphrase}
    request |= {"acknowledge": acknowledge}
    answer = ask(folder, dict(request))
    result(answer, f"{session} is approved by {name} and on its way to the peer", as_json=as_json)


def who_signs(folder: Path, identity: str, *, from_stdin: bool) -> tuple[str, str]:
    """Name and passphrase, asked for once it is clear that a node answers for the store `folder`. identity: '' for the
    only one registered there. Raises ApprovalError, and what `ask` raises."""
    ask(folder, {"command": "status"})
    name = identity or _only_identity(IdentityStore(folder / "identities"))
    return name, read_passphrase(f"Passphrase of {name}: ", from_stdin=from_stdin)


def read_passphrase(prompt: str, *, from_stdin: bool) -> str:
    """Never echoed. Raises ApprovalError where there is neither a terminal nor --passphrase-stdin."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise ApprovalError("there is no terminal to ask for the passphrase; use --passphrase-stdin")
    return getpass.getpass(prompt)


def _only_identity(identities: IdentityStore) -> str:
    names = [person.name for person in identities.list()]
    if len(names) != 1:
        known = f"registered are {', '.join(names)}" if names else "nobody is registered; use 'couchside identity add'"
        raise ApprovalError(f"say who signs with --identity ({known})")
    return names[0]
