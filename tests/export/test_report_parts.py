"""Parts of the goals' section by themselves: a prediction, findings, trade-offs, and marks of cold volumes."""

from __future__ import annotations

import re
from dataclasses import replace

from appliance.contracts import Finding, Opponent, Outcome, PredictedJudgement, SecondCheck, Severity, TradeOff
from appliance.contracts.notes import ClinicalNotes
from appliance.export.report_attention import attention_section, counted, for_the_record
from appliance.export.report_comparison import compared, findings, trade_offs
from appliance.export.report_dvh import dvh_section

from .test_report import made_case, made_dose, made_evaluation, made_plan


def test_a_prediction_is_shown_as_what_it_is() -> None:
    evaluation = made_evaluation(made_dose(made_plan()))
    evaluation = replace(evaluation, predicted=PredictedJudgement(evaluation.goals[:1], "net <1>"))
    shown = compared(evaluation, None)
    assert "Predicted, no plan" in shown
    assert "network net &lt;1&gt; (predicted, not calculated: guides planning, never for approval)" in shown


def test_findings_and_trade_offs_are_named_in_words() -> None:
    found = Finding("goals.structure-missing", "A <b> is missing", Severity.WARN, Outcome.FOUND, "x >= 5 & y", "who")
    shown = findings((replace(found, severity=Severity.INFO, title="Later"), found))
    assert shown.index("△ look") < shown.index("Later")
    assert "A &lt;b&gt; is missing" in shown and "x ≥ 5 &amp; y" in shown and "goals.structure-missing; who" in shown
    against = (
        Opponent("Core-1 Mean <= 10 Gy", "mean dose of Core-1", -0.912, 0.75),
        Opponent("", "hot spots", -0.5, 0.25),
    )
    shown = trade_offs((TradeOff("PTV", "D95%", ">=", 50.0, "Gy", against, True),))
    assert (
        "<b>PTV D95% ≥ 50 Gy</b> was given up for mean dose of Core-1 (Core-1 Mean ≤ 10 Gy): 75 % of the pull" in shown
    )
    assert "cosine −0.91; hot spots: 25 % of the pull, cosine −0.50" in shown
    shown = trade_offs((TradeOff("Core", "Mean", "<=", 10.0, "Gy", (), True),))
    assert "<b>Core Mean ≤ 10 Gy</b> was given up for goals of higher priority" in shown
    assert findings(()) == trade_offs(()) == ""


AGREES = SecondCheck("ours", "theirs", True, ("it differs",), "p" * 64, "d" * 64)


def found(key: str, severity: Severity, outcome: Outcome = Outcome.FOUND) -> Finding:
    return Finding(key, f"Title of {key}", severity, outcome, f"evidence of {key}", "who")


def test_what_stops_stands_first_whichever_part_found_it() -> None:
    plain = replace(made_evaluation(made_dose(made_plan())), second_check=AGREES)
    assert attention_section(plain) == counted(plain) == ""
    notes = ClinicalNotes((), (), (found("notes.pregnancy", Severity.STOP), found("notes.x", Severity.WARN)))
    own = (
        found("goals.target-overlap", Severity.WARN),
        found("goals.absent", Severity.INFO),
        found("evaluation.outcomes", Severity.WARN, Outcome.NOT_TESTED),
        found("prior.passed", Severity.STOP, Outcome.PASSED),
    )
    evaluation = replace(plain, findings=own, clinical_notes=notes)
    shown = attention_section(evaluation)
    places = [shown.index(f"evidence of {key}") for key in ("notes.pregnancy", "evaluation", "notes.x", "goals.target")]
    assert places == sorted(places)
    assert "goals.absent" not in shown and "prior.passed" not in shown
    assert "a reason is needed" in shown and counted(evaluation) == "findings: 1 stops, 3 to look at"
    assert [one.id for one in for_the_record(evaluation)] == ["goals.absent"]


def test_a_second_calculation_that_does_not_agree_is_said_on_top() -> None:
    evaluation = replace(made_evaluation(made_dose(made_plan())), second_check=replace(AGREES, agrees=False))
    assert "has to say why all the same: it differs." in attention_section(evaluation)


def test_the_mark_of_a_cold_volume_lies_where_its_hot_rest_lies() -> None:
    """At least 70 % below 30 Gy and at most 30 % with 30 Gy are one point of the plane, seen from the same side."""
    evaluation = made_evaluation(made_dose(made_plan()))
    goal = replace(evaluation.goals[2], unit="%")
    hot = replace(goal, metric="V30Gy", comparator="<=", limit=30.0)
    cold = replace(goal, metric="CV30Gy", comparator=">=", limit=70.0)
    marks = [
        re.findall(r'<path d="(M[^"]*Z)"', dvh_section(made_case(), replace(evaluation, goals=(one,)), None))
        for one in (hot, cold)
    ]
    assert marks[0] == marks[1] and len(marks[0]) == 1
