"""What clinical notes say that matters to a plan: facts, each with the words it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.contracts.finding import Finding


class FactKind(StrEnum):
    PRIOR_RADIOTHERAPY = "prior_radiotherapy"
    CARDIAC_DEVICE = "cardiac_device"
    PREGNANCY = "pregnancy"
    LATERALITY = "laterality"
    PRESCRIPTION = "prescription"
    CONTRAST = "contrast"
    CONTRAST_ALLERGY = "contrast_allergy"
    IMPLANT = "implant"


class Assertion(StrEnum):
    """present: the note says that it is so. absent: that it is not. possible: that it may be. conditional: said of a
    plan, a condition or a rule, not of the patient as he is. past: that it was so and is no longer. other_person: of
    somebody else."""

    PRESENT = "present"
    ABSENT = "absent"
    POSSIBLE = "possible"
    CONDITIONAL = "conditional"
    PAST = "past"
    OTHER_PERSON = "other_person"


@dataclass(frozen=True)
class NoteSpan:
    """Where in which note: characters start to end (exclusive) of document number `document` (from 0), on `page` (from
    1; 1 for plain text). quote: the statement around the words, as written; it may name the patient."""

    document: int
    start: int
    end: int
    page: int
    words: str
    quote: str


@dataclass(frozen=True)
class NoteFact:
    """value: what exactly, in our words ('pacemaker', 'left', 'hip prosthesis'). dose_gy and fractions: of a course,
    None where the note does not say. site, date: as written. confidence: 0 to 1, a ranking and not a probability. by:
    'rules' or 'encoder', joined by '+' where both say so. overruled: the rules say otherwise of the same words."""

    kind: FactKind
    assertion: Assertion
    span: NoteSpan
    confidence: float
    value: str = ""
    dose_gy: float | None = None
    fractions: int | None = None
    site: str = ""
    date: str = ""
    by: str = "rules"
    overruled: bool = False


@dataclass(frozen=True)
class NoteDocument:
    """One note. name: the file's, or what the caller called it. language: two letters, '' where unknown. read: false
    where nothing was taken from it; `why` then says so, and also where only parts were read."""

    name: str
    sha256: str
    pages: int
    language: str
    read: bool
    why: str = ""


@dataclass(frozen=True)
class ClinicalNotes:
    """What was read, and what does not fit the plan (empty until checked)."""

    documents: tuple[NoteDocument, ...] = ()
    facts: tuple[NoteFact, ...] = ()
    findings: tuple[Finding, ...] = ()
