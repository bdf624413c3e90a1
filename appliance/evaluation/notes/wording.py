"""How findings about notes are worded: by number, place and single words, never by name or whole statement."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts.finding import Finding, Outcome, Severity
from appliance.contracts.notes import NoteFact

SOURCE = "Couchside's own check of the notes against the plan (docs/evaluation/notes.md)"

TITLES = {  # of the subject, not of what ought to hold: they stand before evidence that may say the opposite
    "notes.unread": "Notes that were not read",
    "notes.laterality": "Side of the disease and side of the target",
    "notes.prescription": "Prescription in the notes and of the plan",
    "notes.prior-radiotherapy": "Earlier radiotherapy",
    "notes.cardiac-device": "Pacemaker or defibrillator",
    "notes.pregnancy": "Pregnancy",
    "notes.contrast": "Contrast medium and allergy to it",
    "notes.implant": "Dense implants",
    "notes.contradiction": "Contradictions within the notes",
}

SOURCES = {
    "notes.laterality": "AAPM TG-100 (Huq et al., Med Phys 43:4209, 2016): wrong side among the failures to be "
    "checked for",
    "notes.cardiac-device": "Hurkmans et al., Radiat Oncol 7:198, 2012, Table 2; Miften et al. (TG-203), Med "
    "Phys 46:e757, 2019",
    "notes.pregnancy": "Stovall et al. (TG-36), Med Phys 22:63, 1995",
    "notes.prior-radiotherapy": "Andratschke et al. (ESTRO and EORTC), Lancet Oncol 23:e469, 2022",
}

MOST_CITED = 4


def finding(name: str, severity: Severity, found: bool | None, evidence: str) -> Finding:
    """found None: there was nothing to test."""
    outcome = Outcome.NOT_TESTED if found is None else Outcome.FOUND if found else Outcome.PASSED
    return Finding(name, TITLES[name], severity, outcome, evidence, SOURCES.get(name, SOURCE))


def cited(fact: NoteFact) -> str:
    """'note 1, page 2, characters 40-49'."""
    return f"note {fact.span.document + 1}, page {fact.span.page}, characters {fact.span.start}-{fact.span.end}"


def words_of(facts: Sequence[NoteFact]) -> str:
    """The words themselves with their places, the first few."""
    shown = "; ".join(f"'{fact.span.words}', {cited(fact)}" for fact in facts[:MOST_CITED])
    more = len(facts) - MOST_CITED
    return shown + (f"; and {more} more" if more > 0 else "")
