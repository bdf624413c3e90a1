"""Why the goals are what they are: the passages behind them, each with its source."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts.passage import Passage, PassageAnswer
from appliance.export.report_html import section, text

TITLE, ANCHOR = "Why these limits", "why"


def passages_section(answers: Sequence[tuple[str, PassageAnswer]]) -> str:
    """`answers`: (goal as shown, what was found for it). Each passage once, below all the goals it speaks of; goals
    without a passage are named as such. '' where there are none."""
    if not answers:
        return ""
    goals: dict[Passage | None, list[str]] = {}
    for goal, answer in answers:
        first = next((match.passage for match in answer.matches if match.by_goal), None)
        goals.setdefault(first, []).append(goal)
    body = "".join(_entry(passage, of) for passage, of in goals.items() if passage is not None)
    if None in goals:
        body += f'{_goals(goals[None])}<dd class="note">No passage speaks of these goals.</dd>'
    return section(TITLE, f"<dl>{body}</dl>", anchor=ANCHOR)


def _entry(passage: Passage, goals: Sequence[str]) -> str:
    doubt = " Its numbers were not confirmed in the source itself." if passage.approximate else ""
    source = f'<a href="{text(passage.address)}">{text(passage.source)}</a>; {text(passage.where)}.'
    return f'{_goals(goals)}<dd>{text(passage.text)}<p class="note">{source}{doubt}</p></dd>'


def _goals(goals: Sequence[str]) -> str:
    return "".join(f"<dt><b>{text(goal.replace('>=', '≥').replace('<=', '≤'))}</b></dt>" for goal in goals)
