"""docs/machines.md has the tables of all machine files, made from them."""

from __future__ import annotations

from appliance.planning.machine import load_machine, machine_names
from appliance.planning.machine_listing import collimator_words, rows_of
from tools.house.generated import Generated

DOCUMENT = "docs/machines.md"


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


_SECTION = Generated(
    DOCUMENT,
    begin="<!-- machines: made by tools/check_house.py --write -->\n",
    end="<!-- end of machines -->",
    made=tables,
    stale="its tables are not the machine files",
)
write, check = _SECTION.write, _SECTION.check
