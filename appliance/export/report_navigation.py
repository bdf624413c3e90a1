"""What could be traded, for a page: rows are what is favoured, columns the goals, cells what each then changes by."""

from __future__ import annotations

from appliance.contracts import ClinicalGoal, Comparator
from appliance.contracts.navigation import Answer, TradeOffSet
from appliance.export.report_html import section, text

NOTICED = 0.01
"""Changes below this share of the limit are shown without colour (as in the sentences beside them)."""


def navigation_section(known: TradeOffSet) -> str:
    """Drawn as a table; where nothing could be traded it says why."""
    if len(known.anchors) < 2:
        return section("What could be traded", f"<p>{text(known.why)}.</p>", anchor="traded")
    note = (
        '<p class="note">Each row is a plan that favours one goal and lets others give way; cells say what a goal then '
        "changes by: ▲ better, ▼ worse, blank within 1 % of its limit, <b>✗</b> no longer met. Found by optimising "
        "beamlet fluence again and added to the plan's own values; no deliverable plan was made of them.</p>"
    )
    goals = known.goal_set.goals
    head = "".join(_head(goal, now) for goal, now in zip(goals, known.plan_values, strict=True))
    rows = "".join(_row(known, place) for place in range(1, len(known.anchors)))
    listed = "".join(f"<li>{text(anchor.sentence)}</li>" for anchor in known.anchors[1:])
    table = (
        f'<div class="scroll"><table><thead><tr><th scope="col">Favoured</th>{head}</tr></thead>{rows}</table></div>'
    )
    return section("What could be traded", f"{note}{table}<ul>{listed}</ul>", anchor="traded")


def answer_section(answer: Answer) -> str:
    """One wish and what became of it."""
    tag = '<span class="tag good">✓</span>' if answer.reachable else '<span class="tag bad">✗</span>'
    note = '<p class="note">Predicted from plans around this one, until a deliverable plan is made of it.</p>'
    return section("Asked", f"<p>{tag} {text(answer.sentence)}.</p>{note}", anchor="asked")


def _head(goal: ClinicalGoal, now: float) -> str:
    limit = text(f"{goal.metric} {goal.comparator} {goal.limit:g} {goal.unit}")
    structure = text(goal.structure.replace("+", " + "))
    return f'<th scope="col">{structure}<br>{limit}<br>priority {goal.priority}, now {now:.1f}</th>'


def _row(known: TradeOffSet, place: int) -> str:
    anchor, middle = known.anchors[place], known.anchors[0]
    cells = "".join(
        _cell(goal, now, value - start)
        for goal, now, start, value in zip(
            known.goal_set.goals, known.plan_values, middle.values, anchor.values, strict=True
        )
    )
    return f'<tr><th scope="row">{text(anchor.name)}</th>{cells}</tr>'


def _cell(goal: ClinicalGoal, now: float, change: float) -> str:
    if not abs(change) > NOTICED * max(abs(goal.limit), 1e-6):
        return "<td></td>"
    is_better = (change < 0) == (goal.comparator is Comparator.AT_MOST)
    lost = " <b>✗</b>" if goal.met_by(now) and not goal.met_by(now + change) else ""
    sign, colour = ("▲", "good") if is_better else ("▼", "bad")
    return (
        f'<td style="background:var(--{colour}-bg);color:var(--{colour})">'
        f"{sign} {change:+.1f} {text(goal.unit)}{lost}</td>"
    )
