"""`couchside engines`: the registered networks, what runs them on this machine, how fast and how exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Group

from appliance.cli.options import AsJson, ConfigFile, settings
from appliance.cli.output import progress, result, table
from appliance.config import Config
from appliance.errors import ModelError
from appliance.session_models import network_bytes, registries, runtime_options
from engines.errors import EngineError
from engines.runtime.entry import Registered
from engines.runtime.feeds import feeds_for
from engines.runtime.folders import engine_cache
from engines.runtime.ran import Ran, remember
from engines.runtime.registry import Registry
from engines.runtime.table import Row, build_table

app = typer.Typer(help="Networks: what is registered, and what runs it on this machine.", no_args_is_help=True)

Only = Annotated[str, typer.Option("--model", metavar="NAME", help="This network alone.")]
TOO_FAR = 1
NOT_INSTALLED = "not installed"
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


@app.command("build")
def build(only: Only = "", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Build every registered network for every backend that is here, into the cache, and try what was built; the exit
    code is 1 if a result is further from the CPU's than the registry allows."""
    if not _tabulate(settings(config), only, "Building", as_json=as_json):
        raise typer.Exit(TOO_FAR)


@app.command("bench")
def bench(only: Only = "", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Time every registered network on every backend and compare its results with the CPU's."""
    _tabulate(settings(config), only, "Timing", as_json=as_json)


def state_of(registry: Registry, entry: Registered) -> str:
    """In a few words; `couchside doctor` has the sentence."""
    path = registry.path(entry.name)
    if path is None or not path.exists():
        return NOT_INSTALLED if entry.optional else "missing"
    try:
        registry.check(entry.name)
    except EngineError:
        return "not the registered one"
    return "as registered"


def _tabulate(config: Config, only: str, title: str, *, as_json: bool) -> bool:
    """Whether all results are near enough to the CPU's. Raises ModelError where a file is not the registered one, or
    the CPU cannot run a network."""
    chosen = _chosen(registries(config), only)
    entries = {entry.name: entry for _, entry in chosen}
    rows: list[Row] = []
    with progress(title) as tell:
        for number, (registry, entry) in enumerate(chosen):
            tell(entry.name, number / len(chosen))
            model = network_bytes(registry, entry)
            try:
                rows += build_table([(entry.name, model)], runtime_options(config), feeds_for([entry]))
            except EngineError as error:
                raise ModelError(f"network '{entry.name}': {error}") from error
    remember(engine_cache(), _ran(rows, entries))
    absent = [row for row in rows if row.ms is None and row.difference is None and row.note.startswith("not run")]
    listed: list[JsonValue] = [_listed(row, entries[row.model]) for row in rows]
    shown = [_shown(row, entries[row.model]) for row in rows if row not in absent]
    lines = (f"{name}: {', '.join(models)}" for name, models in _grouped(absent).items())
    result({"rows": listed}, Group(table("Networks on this machine", COLUMNS, shown), *lines), as_json=as_json)
    return not any(_exceeds(row, entries[row.model].precision.get(row.precision)) for row in rows)


def _chosen(found: Sequence[Registry], only: str) -> list[tuple[Registry, Registered]]:
    """All but those that the product does without because they are not installed. Raises ModelError for a name that is
    not registered."""
    pairs = [(registry, entry) for registry in found for entry in registry.entries]
    if not only:
        return [(registry, entry) for registry, entry in pairs if state_of(registry, entry) != NOT_INSTALLED]
    named = [(registry, entry) for registry, entry in pairs if entry.name == only]
    if not named:
        raise ModelError(f"no model '{only}' is registered; 'couchside engines list' names them")
    return named


def _ran(rows: Sequence[Row], entries: Mapping[str, Registered]) -> list[Ran]:
    """For the doctor: what ran here, and how exactly."""
    day = datetime.now(UTC).date().isoformat()
    return [
        Ran(entries[row.model].sha256, row.backend, row.precision, row.device, row.difference, day)
        for row in rows
        if row.ms is not None and row.difference is not None
    ]


def _listed(row: Row, entry: Registered) -> dict[str, JsonValue]:
    limit = entry.precision.get(row.precision)
    return {**asdict(row), "allowed_difference": limit, "verdict": _verdict(row, limit)}


def _shown(row: Row, entry: Registered) -> tuple[str, ...]:
    limit = entry.precision.get(row.precision)
    numbers = (
        "–" if row.ms is None else _milliseconds(row.ms),
        "–" if row.difference is None else f"{row.difference:.1e}",
    )
    return (row.model, row.backend, row.precision, *numbers, _verdict(row, limit), row.note)


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _grouped(absent: Sequence[Row]) -> dict[str, list[str]]:
    """Backend and why it was not run, with the models that this holds for: most are simply not installed."""
    found: dict[str, list[str]] = {}
    for row in absent:
        models = found.setdefault(f"{row.backend} {row.note}", [])
        if row.model not in models:
            models.append(row.model)
    return found


def _verdict(row: Row, limit: float | None) -> str:
    """Of a difference against what the registry allows."""
    if limit is None:
        return "not allowed"
    if row.difference is None:
        return f"{limit:g}"
    return f"{limit:g}: EXCEEDED" if _exceeds(row, limit) else f"{limit:g}: within"


def _exceeds(row: Row, limit: float | None) -> bool:
    return limit is not None and row.difference is not None and row.difference > limit
