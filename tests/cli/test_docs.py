"""docs/cli.md says what the commands take and return, no more and no less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from appliance.__main__ import INTERNAL_ERROR, INTERRUPTED
from appliance.cli.app import app
from appliance.cli.check import STOPPED
from appliance.cli.commission import MISSED
from appliance.errors import CouchsideError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text("utf-8")
DONE, USAGE = 0, 2


def commands(command: Any, path: tuple[str, ...] = ("couchside",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


def usage(path: tuple[str, ...], command: Any) -> str:
    parts = list(path)
    for parameter in command.params:
        if parameter.name == "help":
            continue
        option = parameter.opts[0]
        if not option.startswith("-"):
            parts.append(parameter.metavar)
            continue
        text = option if parameter.metavar is None else f"{option} {parameter.metavar}"
        parts.append(text if parameter.required else f"[{text}]")
    return " ".join(parts)


def tree(kind: type[CouchsideError]) -> Iterator[type[CouchsideError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_every_command_is_documented_with_exactly_its_options() -> None:
    documented = re.findall(r"^### `(couchside [^`]+)`$", PAGE, re.MULTILINE)
    real = [usage(path, command) for path, command in commands(typer.main.get_command(app))]
    assert sorted(documented) == sorted(real)


def test_every_exit_code_is_documented() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert documented == {
        DONE,
        USAGE,
        INTERNAL_ERROR,
        INTERRUPTED,
        MISSED,
        STOPPED,
        MISSED,
        *(kind.exit_code for kind in tree(CouchsideError)),
    }


def test_every_command_that_prints_a_result_has_json() -> None:
    without = {
        " ".join(path[1:])
        for path, command in commands(typer.main.get_command(app))
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == {"serve", "train policy"}  # they run until they are ended, and their results are files
