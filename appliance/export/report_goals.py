"""The head of the report: whose plan, how it stands at a glance, and every goal with what it reached."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import Case, Evaluation, GoalResult, GoalSet, Plan
from appliance.export.report_html import duration, section, table, text, value_beside_limit

COMPARATORS = {"<=": "≤", ">=": "≥"}


def head(case: Case, goal_set: GoalSet, plan: Plan, evaluation: Evaluation, *, generated: str) -> str:
    prescription = ", ".join(f"{text(target.structure)} {target.prescribed_gy:g} Gy" for target in evaluation.targets)
    per_fraction = max(target.prescribed_gy for target in evaluation.targets) / plan.fractions
    facts = [
        ("Patient ID", text(case.identity.patient_id or "not given")),
        ("Patient name", text(case.identity.patient_name.replace("^", " ").strip() or "not given")),
        ("Plan", text(plan.label)),
        ("Prescription", prescription),
        ("Fractions", f"{plan.fractions} (highest level {per_fraction:.2f} Gy each)"),
        ("Position", text(case.patient_position)),
        ("Report made", text(generated)),
        ("Case digest", f"<code>{text(case.digest[:16])}</code>"),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        '<header class="top"><p class="brand">Couchside · online adaptive radiotherapy</p>'
        f"<h1>Adapted plan: {text(goal_set.title)}</h1>"
        f'<dl class="facts">{rows}</dl>'
        '<p class="note">This report is a clinical document: it names the patient and stays with the case.</p></header>'
    )


def tiles(goal_set: GoalSet, evaluation: Evaluation, total_s: float) -> str:
    """Five figures that tell how the plan stands; each also says in words whether it is as it should be."""
    facts = evaluation.plan
    highest_gy = max(target.prescribed_gy for target in evaluation.targets)
    hot_percent = 100.0 * evaluation.hottest_01cc_gy / highest_gy
    all_met = evaluation.goals_met == len(evaluation.goals)
    entries = [
        (
            f"{evaluation.goals_met} of {len(evaluation.goals)}",
            "clinical goals met" if all_met else "clinical goals met: see below",
            all_met,
        ),
        (
            f"{evaluation.hottest_01cc_gy:.1f} Gy",
            f"hottest 0.1 cc, {hot_percent:.1f} % of {highest_gy:g} Gy (wanted ≤ {goal_set.hot_spot_percent:g} %)",
            hot_percent <= goal_set.hot_spot_percent,
        ),
        (f"{facts.mu:.0f} MU", _mu_words(evaluation), None),
        (
            "Deliverable" if facts.deliverable else "Not deliverable",
            f"all machine limits hold, about {duration(facts.delivery_time_s)} beam time"
            if facts.deliverable
            else "; ".join(facts.violations) or "a machine limit is broken",
            facts.deliverable,
        ),
        (duration(total_s), "from the received case to this plan", None),
    ]
    items = "".join(
        f'<li class="{"" if good is None else "good" if good else "bad"}"><b>{text(big)}</b>'
        f"<span>{text(small)}</span></li>"
        for big, small, good in entries
    )
    return f'<ul class="tiles">{items}</ul>'


def _mu_words(evaluation: Evaluation) -> str:
    facts = evaluation.plan
    per_gy = f", {facts.mu_per_gy:.0f} MU per Gy" if facts.mu_per_gy else ""
    score = f", MCS {facts.mcs:.2f}" if facts.mcs else ""
    return f"a fraction{per_gy}{score}; {facts.beams} beams, {facts.segments} segments"


def goals_section(goal_set: GoalSet, evaluation: Evaluation, scheduled: Evaluation | None) -> str:
    sources = list(dict.fromkeys(goal.source for goal in evaluation.goals))
    beside = _by_goal(scheduled) if scheduled else {}
    columns = ["Structure", "Goal", "#This plan", "Result", "#Priority", "Source"]
    if scheduled:
        columns[4:4] = ["#Scheduled plan today", "Result"]
    rows = [_goal_row(goal, sources, beside.get(_key(goal)), bool(scheduled)) for goal in evaluation.goals]
    caption = "Judged on the image grid, on unrounded values. ≈ marks a limit not confirmed in its source."
    if scheduled:
        caption += " The scheduled plan is the received plan, calculated on today's anatomy without any change."
    body = table(caption, columns, rows, kind="goals")
    listed = "".join(f'<li id="source-{number}">{text(source)}</li>' for number, source in enumerate(sources, 1))
    body += f'<ol class="note" aria-label="Sources of the goals">{listed}</ol>'
    body += _targets(evaluation, scheduled)
    notes = list(dict.fromkeys((*goal_set.notes, *evaluation.notes)))
    if notes:
        body += (
            '<h3>Notes</h3><ul class="note">' + "".join(f"<li>{text(_symbols(note))}</li>" for note in notes) + "</ul>"
        )
    return section("Clinical goals", body, anchor="goals")


def verdict(met: bool) -> str:
    return '<span class="tag good">✓ met</span>' if met else '<span class="tag bad">✗ not met</span>'


def _goal_row(goal: GoalResult, sources: Sequence[str], other: GoalResult | None, has_column: bool) -> list[str]:
    number = sources.index(goal.source) + 1
    wanted = f"{text(goal.metric)} {COMPARATORS[goal.comparator]} {goal.limit:g} {text(goal.unit)}"
    row = [
        text(goal.structure.replace("+", " + ")),
        wanted + (' <abbr title="approximate: not confirmed in its source">≈</abbr>' if goal.approximate else ""),
        f'<b class="v">{value_beside_limit(goal.value, goal)}</b> {text(goal.unit)}',
        verdict(goal.met),
        str(goal.priority),
        f'<sup><a href="#source-{number}">{number}</a></sup>',
    ]
    if has_column:
        shown = f"{value_beside_limit(other.value, other)} {text(other.unit)}" if other else "not judged"
        row[4:4] = [shown, verdict(other.met) if other else "–"]
    return row


def _targets(evaluation: Evaluation, scheduled: Evaluation | None) -> str:
    before = {target.structure: target for target in scheduled.targets} if scheduled else {}
    columns = ["Target", "#Prescribed", "#Paddick conformity", "#Homogeneity (D2% − D98%) / D50%"]
    rows = []
    for target in evaluation.targets:
        then = before.get(target.structure)
        rows.append(
            [
                text(target.structure),
                f"{target.prescribed_gy:g} Gy",
                f"{target.paddick_conformity:.3f}" + (f" (scheduled {then.paddick_conformity:.3f})" if then else ""),
                f"{target.homogeneity:.3f}" + (f" (scheduled {then.homogeneity:.3f})" if then else ""),
            ]
        )
    caption = (
        "Conformity: Paddick 2000, 1 is ideal; targets prescribed more count as target. Homogeneity: ICRU Report 83, 0 "
        "is ideal."
    )
    return "<h3>Targets</h3>" + table(caption, columns, rows)


def _symbols(note: str) -> str:
    return note.replace(">=", "≥").replace("<=", "≤")


def _key(goal: GoalResult) -> tuple[str, str, str]:
    return goal.structure, goal.metric, goal.comparator


def _by_goal(evaluation: Evaluation) -> dict[tuple[str, str, str], GoalResult]:
    return {_key(goal): goal for goal in evaluation.goals}
