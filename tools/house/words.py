"""Nothing left for later and nothing that a product does not do: no to-do marks, no print, no assert as a check."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tools.house.files import PRODUCT, WRITTEN, parsed, shown, walk
from tools.house.report import Report

UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TEXT = (".py", ".pyi", ".cpp", ".h", ".hpp", ".cu", ".toml", ".json", ".md", ".sh", ".js", ".css", ".html", ".service")


def _unfinished(root: Path, report: Report) -> None:
    for path in walk(root, (*WRITTEN, "docs", "systemd"), TEXT):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if UNFINISHED.search(line):
                report.broken.append(f"{shown(path, root)}:{number} is unfinished: {line.strip()[:80]}")


def _statements(root: Path, report: Report) -> None:
    for path in walk(root, PRODUCT, (".py",)):
        for node in ast.walk(parsed(path) or ast.Module([], [])):
            if isinstance(node, ast.Assert):
                report.broken.append(f"{shown(path, root)}:{node.lineno} uses assert as a check; raise a typed error")
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                report.broken.append(f"{shown(path, root)}:{node.lineno} prints; the command line uses rich, code logs")


def check(root: Path, report: Report) -> None:
    _unfinished(root, report)
    _statements(root, report)
