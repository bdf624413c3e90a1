"""docs/checks.md has every plan-integrity check of `couchside check`, made from the list itself."""

from __future__ import annotations

from appliance.checking import CHECKS
from appliance.checking.registry import FAMILIES
from tools.house.generated import Generated

DOCUMENT = "docs/checks.md"


def table() -> str:
    """One row a check, in the order they are made."""
    ordered = sorted(CHECKS, key=lambda check: FAMILIES.index(check.id.split(".")[0]))
    return "\n".join(
        [
            "| id | what | severity | asked for by |",
            "|---|---|---|---|",
            *(f"| `{one.id}` | {one.title} | {one.severity.value} | {one.source} |" for one in ordered),
            "",
        ]
    )


_SECTION = Generated(
    DOCUMENT,
    begin="<!-- checks: made by tools/check_house.py --write -->\n",
    end="<!-- end of checks -->",
    made=table,
    stale="its table is not the list of checks",
)
write, check = _SECTION.write, _SECTION.check
