"""Files stay small: 600 lines at most, over 400 only with a reason at the top, the session on its one page."""

from __future__ import annotations

from pathlib import Path

from tools.house.files import WRITTEN, shown, walk
from tools.house.report import Report

HARD_LINES = 600
REASON_LINES = 400
REASON = "over 400 lines"
"""A file over 400 lines says 'Over 400 lines because ...' in its first 15 lines."""
REASON_WITHIN = 15
SESSION_LINES = 250
SUFFIXES = (".py", ".pyi", ".cpp", ".h", ".hpp", ".cu", ".sh", ".js", ".css", ".html")


def check(root: Path, report: Report) -> None:
    for path in walk(root, WRITTEN, SUFFIXES):
        lines = path.read_text("utf-8").splitlines()
        name = shown(path, root)
        if len(lines) > HARD_LINES:
            report.broken.append(f"{name} has {len(lines)} lines; {HARD_LINES} is the limit")
        elif len(lines) > REASON_LINES and REASON not in "\n".join(lines[:REASON_WITHIN]).lower():
            report.broken.append(f"{name} has {len(lines)} lines; over {REASON_LINES} it says at its top why")
        if name == "appliance/session.py" and len(lines) > SESSION_LINES:
            report.broken.append(f"{name} has {len(lines)} lines; over {SESSION_LINES} it is no longer one page")
