"""The head of the report: whose plan, how it stands at a glance, and every goal with what it reached."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import Case, Evaluation, GoalResult, GoalSet, Plan
from appliance.contracts.robustness import Robustness
from appliance.export.report_attention import counted, for_the_record
from appliance.export.report_comparison import compared, findings, trade_offs
from appliance.export.report_html import duration, section, symbols, table, text, value_beside_limit
from appliance.export.report_scores import COMPARATORS, grade_tag, score_bar, wanted


def head(case: Case, goal_set: GoalSet, plan: Plan, evaluation: Evaluation, kind: str, *, generated: str) -> str:
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
        f"<h1>{kind}: {text(goal_set.title)}</h1>"
        f'<dl class="facts">{rows}</dl>'
        '<p class="note">This report is a clinical document: it names the patient and stays with the case.</p></header>'
    )


def tiles(goal_set: GoalSet, evaluation: Evaluation, total_s: float) -> str:
    """Five figures that tell how the plan stands; each also says in words whether it is as it should be."""
    facts = evaluation.plan
    highest_gy = max(target.prescribed_gy for target in evaluation.targets)
    hot_percent = 100.0 * evaluation.hottest_01cc_gy / highest_gy
    all_met = evaluation.goals_met == len(evaluation.goals) and not evaluation.stops
    entries: list[tuple[str, str, bool | None]] = [
        (
            f"{evaluation.goals_met} of {len(evaluation.goals)}",
            _goal_words(evaluation),
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
    ]
    if total_s > 0:
        entries.append((duration(total_s), "from the received case to this plan", None))
    items = "".join(
        f'<li class="{"" if good is None else "good" if good else "bad"}"><b>{text(big)}</b>'
        f"<span>{text(small)}</span></li>"
        for big, small, good in entries
    )
    return f'<ul class="tiles">{items}</ul>'


def _goal_words(evaluation: Evaluation) -> str:
    whole = evaluation.plan_score
    tolerable = f", {whole.variations} more within acceptable variation" if whole.variations else ""
    look = counted(evaluation)
    return f"clinical goals met{tolerable}; score {whole.score:.1f} of {whole.max_score:g}{'; ' * bool(look)}{look}"


def _mu_words(evaluation: Evaluation) -> str:
    facts = evaluation.plan
    per_gy = f", {facts.mu_per_gy:.0f} MU per Gy" if facts.mu_per_gy else ""
    score = f", MCS {facts.mcs:.2f}" if facts.mcs else ""
    return f"a fraction{per_gy}{score}; {facts.beams} beams, {facts.segments} segments"


def goals_section(goal_set: GoalSet, evaluation: Evaluation, scheduled: Evaluation | None) -> str:
    ordered = [evaluation.goals[number] for number in evaluation.worst_first]
    sources = list(dict.fromkeys(map(_source, ordered)))
    columns = ["Structure", "Goal", "#This plan", "Result", "Score", "#Priority", "Protects from", "Source"]
    rows = [_goal_row(goal, sources) for goal in ordered]
    if evaluation.robustness is not None:
        columns.insert(4, "#Chance to be met")
        for goal, row in zip(ordered, rows, strict=True):
            row.insert(4, _chance(goal, evaluation.robustness))
    whole = evaluation.plan_score
    caption = (
        "Worst first. Judged on the image grid, on unrounded values. ≈ marks a limit not confirmed in its source. "
        f"Score of the plan: {whole.score:.1f} of {whole.max_score:g}."
    )
    body = table(caption, columns, rows, kind="goals")
    listed = "".join(f'<li id="source-{number}">{text(source)}</li>' for number, source in enumerate(sources, 1))
    body += f'<ol class="note" aria-label="Sources of the goals">{listed}</ol>'
    body += findings(for_the_record(evaluation)) + trade_offs(evaluation.trade_offs)
    if evaluation.trade_offs and evaluation.explanations:
        body += (
            '<p class="note">That is so near this plan. Whether another plan would meet both stands under '
            '<a href="#explanations">Why, and what would help</a>.</p>'
        )
    body += _targets(evaluation, scheduled) + compared(evaluation, scheduled)
    traded = tuple(f"{t.structure} {t.metric} {t.comparator} {t.limit:g} {t.unit}" for t in evaluation.trade_offs)
    told = dict.fromkeys((*goal_set.notes, *evaluation.notes))
    notes = [note for note in told if not note.startswith(traded)]  # said above, with their shares
    if notes:
        body += (
            '<h3>Notes</h3><ul class="note">' + "".join(f"<li>{text(symbols(note))}</li>" for note in notes) + "</ul>"
        )
    return section("Clinical goals", body, anchor="goals")


def _source(goal: GoalResult) -> str:
    passage = f", passage {goal.passage}" if goal.passage else ""
    return goal.source + (f", doi:{goal.doi}" if goal.doi else "") + passage


def _goal_row(goal: GoalResult, sources: Sequence[str]) -> list[str]:
    number = sources.index(_source(goal)) + 1
    asked = wanted(goal.metric, goal.comparator, goal.limit, goal.unit)
    if goal.variation is not None:
        asked += f' <span class="note">(tolerable {COMPARATORS[goal.comparator]} {goal.variation:g})</span>'
    return [
        text(goal.structure.replace("+", " + ")),
        asked + (' <abbr title="approximate: not confirmed in its source">≈</abbr>' if goal.approximate else ""),
        f'<b class="v">{value_beside_limit(goal.value, goal)}</b> {text(goal.unit)}',
        grade_tag(goal.grade),
        score_bar(goal.score, goal.max_score),
        str(goal.priority),
        f'<span class="endpoint">{text(goal.endpoint) or "–"}</span>',
        f'<sup><a href="#source-{number}">{number}</a></sup>',
    ]


def _chance(goal: GoalResult, found: Robustness) -> str:
    """Under errors of set-up, dose and contours."""
    asked = (goal.structure, goal.metric, goal.comparator, goal.limit)
    for one in found.goals:
        if (one.structure, one.metric, one.comparator, one.limit) == asked and not one.added:
            return f"{100.0 * one.chance_met:.0f} %"
    return "–"


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
