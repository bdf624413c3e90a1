"""`couchside cases`: the built-in cases."""

from __future__ import annotations

from appliance.builtin import CASES
from appliance.cli.options import AsJson
from appliance.cli.output import result, table


def cases(as_json: AsJson = False) -> None:
    """List the built-in cases."""
    listed = [
        {
            "name": case.name,
            "title": case.title,
            "site": case.site,
            "goal_set": case.goal_set,
            "approximate": case.approximate,
            "today": case.today,
        }
        for case in CASES.values()
    ]
    rows = [
        (case.name, case.title, "approximate" if case.approximate else "as published", case.today)
        for case in CASES.values()
    ]
    result(
        {"cases": listed},
        table("Built-in cases", ("case", "what it is", "sizes", "today differs by"), rows),
        as_json=as_json,
    )
