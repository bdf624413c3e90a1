"""Why the goals are what they are: the passages behind them, each with its source."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts.passage import PassageAnswer
from appliance.export.report_html import section, text

TITLE, ANCHOR = "Why these limits", "why"


def passages_section(answers: Sequence[tuple[str, PassageAnswer]]) -> str:
    """`answers`: (goal as shown, what was found for it); goals without a passage of their own are named as such. ''
    where there are none."""
    if not answers:
        return ""
    body = ""
    for goal, answer in answers:
        first = next((match.passage for match in answer.matches if match.by_goal), None)
        if first is None:
            body += f'<dt>{text(goal)}</dt><dd class="note">No passage speaks of this goal.</dd>'
            continue
        doubt = " Its numbers were not confirmed in the source itself." if first.approximate else ""
        source = f'<a href="{text(first.address)}">{text(first.source)}</a>; {text(first.where)}.'
        body += f'<dt>{text(goal)}</dt><dd>{text(first.text)}<p class="note">{source}{doubt}</p></dd>'
    return section(TITLE, f"<dl>{body}</dl>", anchor=ANCHOR)
