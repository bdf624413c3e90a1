"""The state table in docs/architecture.md is the one in appliance/session.py."""

from __future__ import annotations

from appliance.session import ENDED, TABLE, State
from tools.house.generated import Generated

DOCUMENT = "docs/architecture.md"


def table() -> str:
    """One row a state: every event it allows and where that leads; whatever is not here is refused."""
    rows = ["| state | event → next state |", "|---|---|"]
    for state in State:
        steps = [f"{event} → **{to}**" for (here, event), to in TABLE.items() if here is state]
        rows.append(f"| **{state}** | {'; '.join(steps) if steps else 'none: the end' if state in ENDED else 'none'} |")
    return "\n".join(rows) + "\n"


_SECTION = Generated(
    DOCUMENT,
    begin="<!-- state table: made by tools/check_house.py --write -->\n",
    end="<!-- end of state table -->",
    made=table,
    stale="the state table is not that of the session",
)
write, check = _SECTION.write, _SECTION.check
