"""Clinical notes in the report: what does not fit the plan first, then what was read, each with its quote."""

from __future__ import annotations

from appliance.contracts.finding import Finding, Outcome, Severity
from appliance.contracts.notes import ClinicalNotes, NoteFact
from appliance.export.report_html import section, table, text

TITLE, ANCHOR = "Clinical notes", "clinical-notes"


def notes_section(notes: ClinicalNotes | None) -> str:
    """'' where there are no notes."""
    if notes is None or not notes.documents:
        return ""
    read = [
        [
            str(number),
            text(document.name),
            '<span class="tag good">✓ read</span>' if document.read else '<span class="tag bad">✗ not read</span>',
            text(document.why or document.language),
        ]
        for number, document in enumerate(notes.documents, 1)
    ]
    caption = (
        "Read by rules on this machine. Rules misread: a fact counts only with its quote, and what is not listed may "
        "still be in the notes."
    )
    body = _findings(notes.findings)
    if notes.facts:
        head = ["What", "As said", "Quote", "Where", "#Confidence"]
        body += table(caption, head, [_fact(fact) for fact in notes.facts])
    else:
        body += f'<p class="note">No facts were found in what was read. {text(caption)}</p>'
    body += table("Notes", ["#Note", "File", "", "Language, or what was not read"], read)
    return section(TITLE, body, anchor=ANCHOR)


def _findings(findings: tuple[Finding, ...]) -> str:
    if not findings:
        return '<p class="note">The notes were not held against the plan.</p>'
    grave = list(Severity)
    order = sorted(findings, key=lambda entry: (entry.outcome is not Outcome.FOUND, grave.index(entry.severity)))
    rows = [[text(entry.title), _tag(entry), text(entry.evidence)] for entry in order]
    return table("Held against the plan", ["Check", "Result", "Evidence"], rows)


def _tag(entry: Finding) -> str:
    if entry.outcome is Outcome.PASSED:
        return '<span class="tag good">✓ passed</span>'
    if entry.outcome is Outcome.NOT_TESTED:
        return '<span class="tag">not tested</span>'
    words = {Severity.STOP: "✗ stop", Severity.WARN: "✗ look at it", Severity.INFO: "for the record"}[entry.severity]
    return f'<span class="tag {"" if entry.severity is Severity.INFO else "bad"}">{words}</span>'


def _fact(fact: NoteFact) -> list[str]:
    course = [f"{fact.dose_gy:g} Gy" if fact.dose_gy is not None else ""]
    course += [f"in {fact.fractions} fractions" if fact.fractions else "", fact.site, fact.date]
    what = " ".join(part for part in (fact.kind.value.replace("_", " "), fact.value, *course) if part)
    said = fact.assertion.value.replace("_", " ") + (" (overruled by the rules)" if fact.overruled else "")
    where = f"note {fact.span.document + 1}, page {fact.span.page}, characters {fact.span.start} to {fact.span.end}"
    quote = text(fact.span.quote).replace(text(fact.span.words), f"<mark>{text(fact.span.words)}</mark>", 1)
    return [text(what), text(said), f"<q>{quote}</q>", text(where), f"{fact.confidence:.2f}, {text(fact.by)}"]
