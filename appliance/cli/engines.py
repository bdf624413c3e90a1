"""`couchside engines`: the registered networks, what runs them on this machine, how fast and how exactly."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import JsonValue

from appliance.cli.options import AsJson, ConfigFile, settings
from appliance.cli.output import result, table
from appliance.session_models import registries
from engines.errors import EngineError
from engines.runtime.entry import Registered
from engines.runtime.registry import Registry

app = typer.Typer(help="Networks: what is registered, and what runs it on this machine.", no_args_is_help=True)

Only = Annotated[str, typer.Option("--model", metavar="NAME", help="This network alone.")]
COLUMNS = ("model", "backend", "precision", "ms", "max difference", "allowed", "note")


@app.command("list")
def list_engines(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the registered networks and whether their files are the registered ones."""
    listed: list[JsonValue] = []
    shown = []
    for registry in registries(settings(config)):
        for entry in registry.entries:
            state = state_of(registry, entry)
            listed.append({**entry.model_dump(mode="json"), "state": state})
            allowed = ", ".join(f"{name} ({limit:g})" for name, limit in entry.precision.items())
            shown.append((entry.name, entry.sha256[:8], state, allowed, entry.licence, entry.trained_for))
    columns = ("model", "SHA-256", "file", "precision (largest difference)", "licence", "trained for")
    result({"models": listed}, table("Registered networks", columns, shown), as_json=as_json)


def state_of(registry: Registry, entry: Registered) -> str:
    """In a few words; `couchside doctor` has the sentence."""
    path = registry.path(entry.name)
    if path is None or not path.exists():
        return "not installed" if entry.optional else "missing"
    try:
        registry.check(entry.name)
    except EngineError:
        return "not the registered one"
    return "as registered"
