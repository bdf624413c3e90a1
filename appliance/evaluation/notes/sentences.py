"""Sections, sentences and clauses of a note, each with its place in the text.

Notes are telegrams: lines without full stops, abbreviations with them, headers that give every line below its meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FAMILY, ALLERGIES, HISTORY, PLAN = "family", "allergies", "history", "plan"

_HEADERS = {
    FAMILY: r"family history|family hx|fhx|fh|fam\.? hx",
    ALLERGIES: r"allerg(?:y|ies)(?: and intolerances)?|adverse reactions",
    HISTORY: r"(?:past |previous )?(?:medical |oncologic(?:al)? |radiation |treatment |surgical )?history|pmh|pmhx|psh"
    r"|(?:previous|prior) treatments?|(?:previous|prior) (?:radiotherapy|radiation|rt)(?=[ \t]*:?[ \t]*$)",
    PLAN: r"(?:treatment |radiation |radiotherapy )?(?:plan|prescription|recommendations?)|rx"
    r"|assessment and plan|a/p|dose",
    "other": r"impression|assessment|diagnosis|diagnoses|social history|medications?|examination|physical "
    "exam(?:ination)?"
    r"|review of systems|ros|findings|labs?|chief complaint|history of present illness|hpi|oncologic summary|imaging"
    r"|past surgical history|ecog|vitals?|technique|consent|summary|simulation",
}
_HEADER = re.compile(
    r"^[ \t]*(?:[-*•#]+[ \t]*|\d+[.)][ \t]*)?(?:"
    + "|".join(f"(?P<{name}>{names})" for name, names in _HEADERS.items())
    + r")[ \t]*(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)

_ABBREVIATED = """
dr pt mr mrs ms prof st vs approx no fx fr e.g i.e ca lt rt resp b.i.d q.d p.o i.v cf fig dept hosp hx dx tx sx max min
wk wks mo yr yrs incl excl s.p r.o bilat sup inf ant post lat med neg pos diff al
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
"""Followed by a full stop that ends no sentence. Chosen."""

_STOP = re.compile(r"[.!?]+(?=\s|$)")
_REPLY = re.compile(r"(?:yes|no|none|n/a|unknown|negative|positive)\b", re.IGNORECASE)
_LAST_WORD = re.compile(r"([A-Za-z][A-Za-z.]*)$")
_BULLET = re.compile(r"\s*(?:[-*•]|\d+[.)])\s")
_GOES_ON = re.compile(
    r"(?:[,(/–-]|\b(?:and|or|of|the|to|in|with|for|a|an|no|by|at|from|was|is|has|had))\s*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Piece:
    """Characters start to end of the text, in a section ('' for none)."""

    start: int
    end: int
    section: str = ""


def sentences(text: str) -> list[Piece]:
    """In order, without surrounding blanks, never empty; headers are not part of them."""
    found: list[Piece] = []
    for start, end, section in _sections(text):
        for line_start, line_end in _lines(text, start, end):
            found += [Piece(a, b, section) for a, b in _split(text, line_start, line_end)]
    return found


def _sections(text: str) -> list[tuple[int, int, str]]:
    marks = [(match.start(), match.end(), match.lastgroup or "") for match in _HEADER.finditer(text)]
    edges = [(0, "")] + [(end, name) for _, end, name in marks]
    stops = [start for start, _, _ in marks] + [len(text)]
    return [(start, stop, name) for (start, name), stop in zip(edges, stops, strict=True)]


def _lines(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Lines, those that were only wrapped joined again."""
    found: list[tuple[int, int]] = []
    place = start
    for line in text[start:end].split("\n"):
        stop = place + len(line)
        wrapped = bool(found) and bool(line.strip()) and _is_continued(text[found[-1][0] : found[-1][1]], line)
        if wrapped:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((place, stop))
        place = stop + 1
    return [(a, b) for a, b in found if text[a:b].strip()]


def _is_continued(before: str, line: str) -> bool:
    if not before.strip() or _BULLET.match(line):
        return False
    first = line.lstrip()[:1]
    return bool(_GOES_ON.search(before)) or first.islower() or first in "(,"


def _split(text: str, start: int, end: int) -> list[tuple[int, int]]:
    found, begin = [], start
    for match in _STOP.finditer(text, start, end):
        rest = text[match.end() : end].lstrip()
        word = _LAST_WORD.search(text, max(start, match.start() - 12), match.start())
        is_short = word is not None and (word[1].lower() in _ABBREVIATIONS or len(word[1]) == 1)
        if match[0] == "." and rest and (is_short or rest[0].islower()):
            continue
        if match[0] == "?" and _REPLY.match(rest):
            continue
        found.append((begin, match.end()))
        begin = match.end()
    found.append((begin, end))
    return [trimmed for a, b in found if (trimmed := _trimmed(text, a, b)) is not None]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    if not piece.strip():
        return None
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
