"""The state table in docs/architecture.md is the one in appliance/session.py."""

from __future__ import annotations

from pathlib import Path

from appliance.session import ENDED, TABLE, State
from tools.house.report import Report

DOCUMENT = "docs/architecture.md"
BEGIN, END = "<!-- state table: made by tools/check_house.py --write -->\n", "<!-- end of state table -->"


def table() -> str:
    """One row a state: every event it allows and where that leads; whatever is not here is refused."""
    rows = ["| state | event → next state |", "|---|---|"]
    for state in State:
        steps = [f"{event} → **{to}**" for (here, event), to in TABLE.items() if here is state]
        rows.append(f"| **{state}** | {'; '.join(steps) if steps else 'none: the end' if state in ENDED else 'none'} |")
    return "\n".join(rows) + "\n"


def _parts(root: Path) -> tuple[str, str, str]:
    before, rest = (root / DOCUMENT).read_text("utf-8").split(BEGIN)
    now, after = rest.split(END)
    return before, now, after


def write(root: Path) -> None:
    before, _, after = _parts(root)
    (root / DOCUMENT).write_text(before + BEGIN + table() + END + after, "utf-8")


def check(root: Path, report: Report) -> None:
    if not (root / DOCUMENT).exists() or _parts(root)[1] != table():
        report.broken.append(
            f"{DOCUMENT}: the state table is not that of the session; run tools/check_house.py --write"
        )
