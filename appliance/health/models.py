"""Check 'models': every file the planner and the evaluation rely on can be read and is the one that was released.

Beam models are loaded by the engine that uses them; machines, density tables and goal sets by the readers that the
caller hands in, or else only parsed as TOML with the right name. Each network of models/registry.toml must be the
registered file (check 'networks' says what runs it). Failed if a file does not load,
was altered or is missing, if a kind has no file at all, if the machine, beam model or density table named in the
configuration is not there, or if they do not fit together as the caller's `together` says. A machine with figures that
nobody has confirmed says so (its reader's `unconfirmed`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import JsonValue

from appliance.config import Config
from appliance.errors import CouchsideError
from appliance.health.result import Finding, Status
from engines.errors import EngineError
from engines.photon.beam_model import load_beam_model
from engines.runtime.registry import load_registry

MODELS = Path(__file__).resolve().parents[2] / "models"

Reader = Callable[[Path], object]

KINDS: tuple[tuple[str, str, str], ...] = (
    ("beam", "*.json", "beam models"),
    ("machines", "*.toml", "machines"),
    ("density", "*.toml", "density tables"),
    ("guidelines", "*/goals/*.toml", "goal sets"),
)


def unknown() -> None:
    """Stands in where nobody can say whether what is configured fits together."""


def check(
    config: Config,
    *,
    readers: Mapping[str, Reader] | None = None,
    together: Callable[[], None] = unknown,
    folder: Path = MODELS,
) -> Finding:
    chosen = {"beam": load_beam_model, **(readers or {})}
    problems: list[str] = []
    detail: dict[str, JsonValue] = {}
    unconfirmed: list[str] = []
    for kind, pattern, title in KINDS:
        files = sorted((folder / kind).glob(pattern))
        for file in files:
            found, wrong = _read(file, chosen.get(kind, _parse_toml))
            problems += wrong
            if kind == "machines" and file.stem == config.planning.machine:
                unconfirmed += [str(figure) for figure in getattr(found, "unconfirmed", ())]
        if not files:
            problems.append(f"there are no {title} in models/{kind}")
        detail[kind] = [file.stem for file in files]
    problems += _missing_choices(config, detail)
    registered, altered = _registry(folder)
    problems += altered
    detail |= {"registered_networks": registered, "problems": list(problems), "unconfirmed_figures": list(unconfirmed)}
    if problems:
        return Finding(Status.FAILED, f"Model files cannot be trusted: {'; '.join(problems)}. Reinstall them.", detail)
    try:
        together()
    except CouchsideError as error:
        return Finding(Status.FAILED, f"What the configuration names does not fit together. {error}", detail)
    counts = ", ".join(f"{len(list((folder / kind).glob(pattern)))} {title}" for kind, pattern, title in KINDS)
    seal = f"{registered} networks are as registered"
    machine = config.planning.machine
    doubt = f" {len(unconfirmed)} figures of {machine} are unconfirmed: couchside machines show {machine}."
    return Finding(Status.OK, f"{counts} load; {seal}.{doubt if unconfirmed else ''}", detail)


def _read(file: Path, reader: Reader) -> tuple[object, list[str]]:
    """(what was read, what is wrong with it)."""
    try:
        return reader(file), []
    except (CouchsideError, EngineError, OSError, ValueError) as error:
        return None, [f"{file.parent.name}/{file.name}: {error}"]


def _missing_choices(config: Config, found: Mapping[str, JsonValue]) -> list[str]:
    """What the configuration names must exist; a path of one's own is looked up as it stands."""
    wanted = {
        "machines": config.planning.machine,
        "beam": config.planning.beam_model,
        "density": config.planning.density,
    }
    problems = []
    for kind, name in wanted.items():
        known = found[kind]
        is_path = name.endswith((".json", ".toml"))
        if not (Path(name).is_file() if is_path else isinstance(known, list) and name in known):
            problems.append(f"the configuration names '{name}', which is not in models/{kind}")
    return problems


def _registry(folder: Path) -> tuple[int, list[str]]:
    """(how many networks are registered, what is wrong with their files)."""
    try:
        registry = load_registry(folder / "registry.toml")
    except EngineError as error:
        return 0, [str(error)]
    return len(registry.entries), [problem for _, problem in registry.problems()]


def _parse_toml(file: Path) -> object:
    """Weaker than a reader: well-formed, and carrying the name it is looked up by."""
    content = tomllib.loads(file.read_text("utf-8"))
    if content.get("name") != file.stem:
        raise ValueError(f"its name is not '{file.stem}'")
    return content
