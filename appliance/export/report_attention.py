"""What a person must look at before anything else: every finding of every part that stops or warns, on top."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import Evaluation, Finding, Outcome, Severity
from appliance.export.report_comparison import finding_list
from appliance.export.report_html import section, text

TITLE, ANCHOR = "To be looked at first", "attention"


def attention_section(evaluation: Evaluation) -> str:
    """'' where nothing stops or warns and the second calculation agrees."""
    found = to_look_at(evaluation)
    said = ""
    if evaluation.needs_acknowledgement:
        why = "" if evaluation.stops else f": {text(evaluation.to_acknowledge)}"
        said = (
            '<p><span class="tag bad">✗ a reason is needed</span> Who approves this plan has to say why all the same'
            f"{why}.</p>"
        )
    if not found and not said:
        return ""
    return section(TITLE, said + finding_list(found), anchor=ANCHOR)


def to_look_at(evaluation: Evaluation) -> tuple[Finding, ...]:
    """Findings that stop or warn, of all parts, and parts that could not be judged; the gravest first."""
    return tuple(one for one in _gravest_first(evaluation.all_findings) if one.severity is not Severity.INFO)


def for_the_record(evaluation: Evaluation) -> tuple[Finding, ...]:
    """The evaluation's own findings that nobody has to act on."""
    return tuple(one for one in _gravest_first(evaluation.findings) if one.severity is Severity.INFO)


def counted(evaluation: Evaluation) -> str:
    """'1 stops, 2 to look at', or ''."""
    found = to_look_at(evaluation)
    stops = sum(one.stops for one in found)
    others = len(found) - stops
    parts = [f"{stops} stop{'s' if stops == 1 else ''}" if stops else "", f"{others} to look at" if others else ""]
    words = ", ".join(part for part in parts if part)
    return f"{'finding' if len(found) == 1 else 'findings'}: {words}" if words else ""


def _gravest_first(found: Sequence[Finding]) -> list[Finding]:
    """Of the same gravity those of the patient come before those of the goal set."""
    told = [one for one in found if one.outcome is Outcome.FOUND or one.id.startswith("evaluation.")]
    return sorted(told, key=lambda one: (list(Severity).index(one.severity), one.id.startswith("goals.")))
