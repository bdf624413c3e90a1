"""`couchside identity add | list`: who may approve on this store."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.approval import ROLES, IdentityStore
from appliance.cli.approve import FromStdin, read_passphrase
from appliance.cli.options import AsJson, ConfigFile, StoreFolder, settings
from appliance.cli.output import result, table
from appliance.errors import ApprovalError

app = typer.Typer(help="Register and list the persons who may approve.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As it shall stand in the approved plan.")]
Role = Annotated[str, typer.Option("--role", metavar="ROLE", help=f"One of: {', '.join(ROLES)}.")]


@app.command("add")
def add(
    name: Name,
    role: Role = "physician",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Register a person with a passphrase."""
    identities = IdentityStore(settings(config, store).node.store / "identities")
    passphrase = read_passphrase(f"New passphrase of {name}: ", from_stdin=passphrase_stdin)
    if not passphrase_stdin and read_passphrase("Again: ", from_stdin=False) != passphrase:
        raise ApprovalError("the two passphrases differ; nothing was registered")
    person = identities.create(name, role, passphrase)
    result(
        {"name": person.name, "role": person.role, "public_key": person.public_key},
        f"{person.name} is registered as {person.role}",
        as_json=as_json,
    )


@app.command("list")
def show(config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """List the registered persons."""
    persons = IdentityStore(settings(config, store).node.store / "identities").list()
    entries = [
        {"name": person.name, "role": person.role, "demo": person.is_demo, "public_key": person.public_key}
        for person in persons
    ]
    rows = [(person.name, person.role, person.public_key[:16]) for person in persons]
    result({"identities": entries}, table("", ("name", "role", "key"), rows), as_json=as_json)
