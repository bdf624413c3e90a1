"""docs/machines.md has the tables of all machine files, made from them."""

from __future__ import annotations

from pathlib import Path

from appliance.planning.machine import load_machine, machine_names
from appliance.planning.machine_listing import collimator_words, rows_of
from tools.house.report import Report

DOCUMENT = "docs/machines.md"
BEGIN, END = "<!-- machines: made by tools/check_house.py --write -->\n", "<!-- end of machines -->"


def tables() -> str:
    """One section a machine. ? marks a figure that nobody has confirmed."""
    parts = []
    for name in machine_names():
        machine = load_machine(name)
        rows = rows_of(machine)
        parts += [
            f"### {name}: {machine.title}\n",
            f"{collimator_words(machine)}; {len(machine.unconfirmed)} of {len(rows)} figures unconfirmed.\n",
            "| figure | value | | source |",
            "|---|---|---|---|",
            *(f"| `{row.figure}` | {row.value} | {'?' if row.unconfirmed else ''} | {row.source} |" for row in rows),
            "",
        ]
    return "\n".join(parts)


def _parts(root: Path) -> tuple[str, str, str]:
    before, rest = (root / DOCUMENT).read_text("utf-8").split(BEGIN)
    now, after = rest.split(END)
    return before, now, after


def write(root: Path) -> None:
    before, _, after = _parts(root)
    (root / DOCUMENT).write_text(before + BEGIN + tables() + END + after, "utf-8")


def check(root: Path, report: Report) -> None:
    if not (root / DOCUMENT).exists() or _parts(root)[1] != tables():
        report.broken.append(f"{DOCUMENT}: its tables are not the machine files; run tools/check_house.py --write")
