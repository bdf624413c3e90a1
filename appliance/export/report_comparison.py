"""The plan beside the scheduled one and a prediction; which goal gave way for which; what a person must look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.contracts import (
    Comparison,
    Evaluation,
    Finding,
    GoalComparison,
    Grade,
    PlanScore,
    Severity,
    Standing,
    TradeOff,
)
from appliance.export.report_html import beside_limit, table, text
from appliance.export.report_scores import COMPARATORS, grade_tag, signed, wanted

FINDING_SIGNS = {Severity.STOP: ("bad", "✗ stop"), Severity.WARN: ("warn", "△ look"), Severity.INFO: ("", "note")}


def compared(evaluation: Evaluation, scheduled: Evaluation | None) -> str:
    """Goal by goal, worst first; '' where there is nothing to compare with."""
    found = evaluation.comparison
    if found is None and (scheduled or evaluation.predicted):
        found = Comparison.of(evaluation, scheduled, evaluation.predicted)
    if found is None or (found.scheduled is None and found.predicted is None):
        return ""
    head = ["Structure", "Goal", "#This plan", "Result"]
    others: list[Callable[[GoalComparison], tuple[Standing | None, float | None]]] = []
    if found.scheduled is not None:
        head += ["#Scheduled plan today", "Result", "#Score, this plan less that"]
        others.append(lambda row: (row.scheduled, row.over_scheduled))
    if found.predicted is not None:
        head += ["#Predicted, no plan", "Result", "#Score, this plan less that"]
        others.append(lambda row: (row.predicted, row.over_predicted))
    rows = []
    for number in evaluation.worst_first:
        row = found.goals[number]
        cells = [text(row.structure.replace("+", " + ")), wanted(row.metric, row.comparator, row.limit, row.unit)]
        cells += _cells(row, row.adapted)
        for other in others:
            standing, over = other(row)
            cells += [*_cells(row, standing), signed(over)]
        rows.append(cells)
    return "<h3>Compared</h3>" + table(_caption(found), head, rows, kind="goals")


def _cells(row: GoalComparison, standing: Standing | None) -> list[str]:
    if standing is None:
        return ["not judged", "–"]
    shown = beside_limit(standing.value, row.limit, row.unit, row.comparator, met=standing.grade is Grade.PASS)
    return [f"{shown} {text(row.unit)}", grade_tag(standing.grade)]


def _caption(found: Comparison) -> str:
    parts = [f"This plan: {_score(found.adapted)}."]
    if found.scheduled is not None:
        parts.append(
            f"The scheduled plan, the received one calculated on today's anatomy without any change: "
            f"{_score(found.scheduled)}; difference on the goals of both {signed(found.over_scheduled)}."
        )
    if found.predicted is not None:
        parts.append(
            f"Dose of the network {text(found.predicted_model)} ({text(found.predicted_label)}): "
            f"{_score(found.predicted)}; difference {signed(found.over_predicted)}."
        )
    return " ".join(parts)


def _score(plan: PlanScore) -> str:
    return (
        f"score {plan.score:.1f} of {plan.max_score:g}, {plan.passed} pass, {plan.variations} acceptable variation, "
        f"{plan.failed} fail"
    )


def trade_offs(found: Sequence[TradeOff]) -> str:
    """Which missed goal gives way for which, each with its share of the pull; '' where nothing was traded."""
    if not found:
        return ""
    items = []
    for item in found:
        goal = (
            f"{text(item.structure.replace('+', ' + '))} {wanted(item.metric, item.comparator, item.limit, item.unit)}"
        )
        against = "; ".join(
            f"{text(opponent.words)}{_named(opponent.goal)}: {100 * opponent.strength:.0f} % of the pull, cosine "
            + f"{opponent.cosine:.2f}".replace("-", "−")
            for opponent in item.against
        )
        against = against or "goals of higher priority; no gradient stands against it in the plan as it was reached"
        how = "was given up for" if item.given_up else "gives way to"
        items.append(f"<li><b>{goal}</b> {how} {against}</li>")
    note = (
        '<p class="note">From the gradients of the plan as it was reached: what would help the goal named first harms '
        "those named after it. Cosine −1: exactly opposed.</p>"
    )
    return f"<h3>What gives way for what</h3><ul>{''.join(items)}</ul>{note}"


def _named(goal: str) -> str:
    return f" ({text(goal.replace('>=', COMPARATORS['>=']).replace('<=', COMPARATORS['<=']))})" if goal else ""


def findings(found: Sequence[Finding]) -> str:
    """A titled list, the gravest first; '' where there is nothing."""
    return f"<h3>Findings</h3>{finding_list(found)}" if found else ""


def finding_list(found: Sequence[Finding]) -> str:
    """The gravest first; '' where there is nothing."""
    if not found:
        return ""
    order = {Severity.STOP: 0, Severity.WARN: 1, Severity.INFO: 2}
    items = []
    for finding in sorted(found, key=lambda item: order[item.severity]):
        kind, sign = FINDING_SIGNS[finding.severity]
        evidence = finding.evidence.replace(">=", "≥").replace("<=", "≤")
        items.append(
            f'<li><span class="tag {kind}">{sign}</span> <b>{text(finding.title)}:</b> {text(evidence)} '
            f'<span class="note">{text(finding.id)}; {text(finding.source)}</span></li>'
        )
    return f'<ul class="findings">{"".join(items)}</ul>'
