"""Notes to facts: text, language, sentences, clauses, mentions, in that order. Offline; rules first, an encoder
beside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.contracts.notes import ClinicalNotes, FactKind, NoteDocument, NoteFact, NoteSpan
from appliance.evaluation.notes import concepts, courses, laterality
from appliance.evaluation.notes.concepts import Mention
from appliance.evaluation.notes.context import Clause, clauses
from appliance.evaluation.notes.documents import Document, NoteText, read_document
from appliance.evaluation.notes.encoder import NoteEncoder
from appliance.evaluation.notes.language import language_of, named
from appliance.evaluation.notes.merge import merged
from appliance.evaluation.notes.sentences import Piece, sentences

LONGEST_QUOTE = 300
"""Characters of a statement that are kept as its quote. Chosen."""

_PARAGRAPH = re.compile(r"(?:[^\n\f]|\n(?![ \t]*\n))+")


def read_notes(sources: Sequence[Path | NoteText], *, encoder: NoteEncoder | None = None) -> ClinicalNotes:
    """Facts of all notes, in order of note and place. A note that cannot be read, or is not in English, stands among
    the documents with its reason and yields nothing. Raises RefusedInput for what is no note at all."""
    documents: list[NoteDocument] = []
    facts: list[NoteFact] = []
    for number, source in enumerate(sources):
        document = read_document(source)
        listed, found = _read(document, number, encoder)
        documents.append(listed)
        facts += found
    return ClinicalNotes(tuple(documents), tuple(facts))


def facts_of(text: str) -> tuple[NoteFact, ...]:
    """By the rules alone, of text that is known to be English."""
    document = Document("text", text, (0,), "")
    return tuple(fact for piece in sentences(text) for fact in _facts(document, 0, piece))


def _read(document: Document, number: int, encoder: NoteEncoder | None) -> tuple[NoteDocument, list[NoteFact]]:
    def listed(language: str, read: bool, why: str) -> NoteDocument:
        return NoteDocument(document.name, document.sha256, len(document.page_starts), language, read, why)

    if document.why or not document.text.strip():
        return listed("", False, document.why or "it is empty"), []
    whole = language_of(document.text)
    foreign = _foreign(document.text, whole)
    if whole not in ("en", "") and not any(_is_english(document.text, whole)):
        return listed(whole.strip("?"), False, f"it seems to be in {named(whole)}; only English is read"), []
    facts: list[NoteFact] = []
    for piece in sentences(document.text):
        if not any(start <= piece.start < end for start, end, _ in foreign):
            facts += _facts(document, number, piece)
    if encoder is not None:
        facts = merged(facts, encoder.facts(document, number, sentences(document.text)))
    languages = ", ".join(sorted({named(language) for _, _, language in foreign}))
    why = f"{len(foreign)} passage{'s' if len(foreign) > 1 else ''} in {languages} not read" if foreign else ""
    return listed("en", True, "; ".join(part for part in (why, document.partly) if part)), facts


def _foreign(text: str, whole: str) -> list[tuple[int, int, str]]:
    """Paragraphs in another language: (start, end, language). Too short ones go with the note as a whole."""
    found = []
    for match in _PARAGRAPH.finditer(text):
        language = language_of(match[0]) or whole or "en"
        if language != "en":
            found.append((match.start(), match.end(), language))
    return found


def _is_english(text: str, whole: str) -> Iterator[bool]:
    return (True for match in _PARAGRAPH.finditer(text) if (language_of(match[0]) or whole) == "en")


def _facts(document: Document, number: int, piece: Piece) -> Iterator[NoteFact]:
    seen: set[tuple[object, ...]] = set()
    for clause in clauses(document.text, piece):
        for mention in _mentions(clause):
            fact = _fact(document, number, piece, clause, mention)
            key = (fact.kind, fact.assertion, fact.value, fact.dose_gy, fact.fractions)
            if key not in seen:
                seen.add(key)
                yield fact


def _mentions(clause: Clause) -> Iterator[Mention]:
    yield from concepts.mentions(clause)
    found = list(courses.mentions(clause))
    yield from found
    before = any(m.kind is FactKind.PRIOR_RADIOTHERAPY and m.assertion.value == "present" for m in found)
    yield from laterality.mentions(clause, treated_before=before)


def _fact(document: Document, number: int, piece: Piece, clause: Clause, mention: Mention) -> NoteFact:
    start, end = clause.start + mention.start, clause.start + mention.end
    quote = " ".join(document.text[piece.start : piece.end].split())[:LONGEST_QUOTE]
    span = NoteSpan(number, start, end, document.page_at(start), document.text[start:end], quote)
    return NoteFact(
        mention.kind,
        mention.assertion,
        span,
        mention.confidence,
        mention.value,
        mention.dose_gy,
        mention.fractions,
        mention.site,
        mention.date,
    )
