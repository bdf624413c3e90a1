"""Commands shown in README.md and docs/ exist: verbs of build.sh, commands and options of couchside."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from tools.house.report import Report

_BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_VERB = re.compile(r"^  ([a-z]+)(?: \| [a-z-]+)*\)", re.MULTILINE)


def commands_in(text: str) -> Iterator[list[str]]:
    """Words of each command line in the shell blocks of a Markdown text; comments and continued lines understood."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                yield words


def _wrong_couchside(words: list[str], root_command: Any) -> str:
    """What is wrong with 'couchside ...', or ''. The command is typer's; its click types are private to typer."""
    command = root_command
    for word in words[1:]:
        if word.startswith("-"):
            options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "--version"}
            if word.split("=")[0] not in options:
                return f"has no option {word}"
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"has no command {word}"
            command = command.commands[word]
    return ""


def check(root: Path, report: Report) -> None:
    try:
        couchside = typer.main.get_command(importlib.import_module("appliance.cli.app").app)
    except ImportError as error:
        report.broken.append(f"the command line cannot be loaded: {error}")
        return
    verbs = set(_VERB.findall((root / "build.sh").read_text("utf-8")))
    for path in (root / "README.md", *sorted((root / "docs").glob("*.md")), *sorted((root / "bench").glob("*.md"))):
        for words in commands_in(path.read_text("utf-8")):
            program = words[0].rsplit("/", 1)[-1]
            wrong = ""
            if program == "build.sh" and len(words) > 1 and words[1] not in verbs:
                wrong = f"has no verb {words[1]}"
            elif program == "couchside":
                wrong = _wrong_couchside(words, couchside)
            if wrong:
                report.broken.append(f"{path.relative_to(root)}: '{' '.join(words)}': {program} {wrong}")
