"""Mentions of what matters to a plan besides the courses and the side: devices, pregnancy, contrast, implants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.contracts.notes import Assertion, FactKind
from appliance.evaluation.notes.context import Clause

SURE, FAIR = 0.95, 0.8
"""Confidence where the words say it themselves, and where they were put together. Chosen; a ranking, no probability."""


@dataclass(frozen=True)
class Mention:
    """Characters of a clause that say `kind`, and what they assert; dose, fractions, site and date of a course."""

    kind: FactKind
    assertion: Assertion
    start: int
    end: int
    value: str = ""
    confidence: float = SURE
    dose_gy: float | None = None
    fractions: int | None = None
    site: str = ""
    date: str = ""


_DEVICES = (
    ("defibrillator", r"(?-i:A?ICDs?)(?!-?\s?(?:9|10|11)\b)|(?<!external )defibrillators?|CRT-?D|S-ICD"),
    (
        "pacemaker",
        r"(?:pace-?\s?makers?|pacers?)(?!\s+dependency)(?:-dependent)?|(?-i:PPM)|CRT-?P|leadless pacing|micra\b",
    ),
    ("loop recorder", r"(?:implantable )?loop recorders?"),
    ("cardiac device", r"CIEDs?|cardiac implantable electronic devices?|implant(?:ed|able) cardiac devices?"),
)
_IMPLANTS = (
    (
        "hip prosthesis",
        r"hip (?:replacements?|prosthes[ie]s|arthroplast(?:y|ies)|implants?)|(?-i:TH[RA])\b|hemiarthroplasty"
        r"|(?:endo)?prosthes[ie]s (?:of|in) the (?:left |right )?hip|hip endoprosthes[ie]s|hips? (?:(?:was"
        r"|were) )?replaced",
    ),
    ("joint prosthesis", r"(?:knee|shoulder) (?:replacements?|prosthes[ie]s|arthroplast(?:y|ies))"),
    ("dental", r"(?:dental )?amalgam(?: fillings?)?|dental (?:implants?|fillings?|crowns?|bridges?|prosthes[ie]s)"),
    ("fiducials", r"(?:gold )?fiducials?(?: markers?| seeds?)?|gold (?:seeds?|markers?)"),
    ("cochlear implant", r"cochlear implants?"),
    ("breast implant", r"breast (?:implants?|(?:tissue )?expanders?)"),
    ("aneurysm clip", r"aneurysm clips?"),
    ("stent", r"(?:coronary|biliary|o?esophageal|ureter(?:al|ic)|tracheal|bronchial) stents?"),
    (
        "metal",
        r"titanium (?:plates?|rods?|screws?|mesh|cages?|implants?)|metal(?:lic)?\b(?! art[ie]f)(?: (?:implants?|plates?"
        r"|rods?|screws?"
        r"|hardware|clips?|foreign bod(?:y|ies)|prosthes[ie]s))?|(?:spinal |surgical |orthopa?edic )?(?:fusion )?"
        r"(?:hardware|instrumentation)|(?:sternal|sternotomy) wires|(?:surgical|vascular|metal) (?:clips|staples)"
        r"|pedicle screws|intramedullary nails?|osteosynthesis|shrapnel|bullets?",
    ),
)


def _compiled(table: tuple[tuple[str, str], ...]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((value, re.compile(rf"\b(?:{words})", re.IGNORECASE)) for value, words in table)


_DEVICE_PATTERNS, _IMPLANT_PATTERNS = _compiled(_DEVICES), _compiled(_IMPLANTS)

_PREGNANT = re.compile(
    r"\b(?:(?P<become>(?:becom\w+|get(?:s|ting)?) pregnant)|(?P<many>pregnancies)|(?P<test>pregnancy test"
    r"|(?:[uβb]-?)?hcg)"
    r"|(?P<plain>pregnan(?:t|cy)|weeks'? (?:of )?gestation|intrauterine gestation|gestational age|gravid\b))",
    re.IGNORECASE,
)
_NOT_PREGNANT = re.compile(r"\b(?:post-?\s?menopausal|hysterectomy)\b", re.IGNORECASE)
_RESULT = re.compile(
    r"(?P<absent>negative|neg\b|excluded)|(?P<present>positive|pos\b)|(?P<possible>pending|awaited|not done|outstanding"
    r"|to be done|unknown)",
    re.IGNORECASE,
)

_CONTRAST = re.compile(
    r"(?<!in )(?<!by )\b(?:(?:iv|iodinated|oral) )?contrast(?!\s+(?:to|with|between)\b)(?:-enhanced| medi(?:um"
    r"|a)| agents?"
    r"| material| dye)?|\bgad(?:olinium|ovist|obutrol)\b|\bio(?:hexol|dixanol|pamidol)\b|\bomnipaque\b",
    re.IGNORECASE,
)
_NATIVE = re.compile(r"\b(?:un-?enhanced|non-?enhanced|native) (?:planning |simulation )?(?:CT|scan)\b", re.IGNORECASE)
_ALLERGY = re.compile(
    r"allerg\w*|anaphyla\w+|hypersensitiv\w+|urticaria|hives|reactions? (?:to|after|with)|contrast reactions?"
    r"|rash (?:after|with)"
    r"|intoleran\w+",
    re.IGNORECASE,
)
_NO_ALLERGY = re.compile(
    r"\b(?:(?-i:NKDA|NKA)|no known (?:drug )?allergies|no allerg(?:ies|y)(?! to))\b", re.IGNORECASE
)
_ALLERGY_NEAR, _ALLERGY_LIST = 30, 70
"""Characters between allergy and contrast, and where a list of allergens may lie between them. Chosen."""


def mentions(clause: Clause) -> Iterator[Mention]:
    yield from _longest(clause, FactKind.CARDIAC_DEVICE, _DEVICE_PATTERNS)
    yield from _longest(clause, FactKind.IMPLANT, _IMPLANT_PATTERNS)
    yield from _pregnancy(clause)
    yield from _contrast(clause)


def _longest(clause: Clause, kind: FactKind, patterns: tuple[tuple[str, re.Pattern[str]], ...]) -> Iterator[Mention]:
    """One mention for each value, the longer where two overlap."""
    found = [
        (match.start(), match.end(), value) for value, pattern in patterns for match in pattern.finditer(clause.text)
    ]
    kept: list[tuple[int, int, str]] = []
    for start, end, value in sorted(found, key=lambda entry: (entry[0] - entry[1], entry[0])):
        if all(end <= a or start >= b for a, b, _ in kept):
            kept.append((start, end, value))
    for start, end, value in sorted(kept):
        yield Mention(kind, clause.assertion(start, end), start, end, value)


def _pregnancy(clause: Clause) -> Iterator[Mention]:
    kind = FactKind.PREGNANCY
    for match in _PREGNANT.finditer(clause.text):
        start, end = match.span()
        assertion = clause.assertion(start, end, of_history=True)
        if match["become"]:
            assertion = Assertion.CONDITIONAL if assertion is not Assertion.OTHER_PERSON else assertion
        elif match["many"] and assertion is Assertion.PRESENT:
            assertion = Assertion.PAST
        elif match["test"]:
            result = _RESULT.search(clause.text, end)
            if assertion not in (Assertion.CONDITIONAL, Assertion.OTHER_PERSON):
                if result is None:
                    continue
                assertion = Assertion(result.lastgroup or "")
        yield Mention(kind, assertion, start, end)
    for match in _NOT_PREGNANT.finditer(clause.text):
        if clause.assertion(*match.span()) is Assertion.PRESENT:
            yield Mention(kind, Assertion.ABSENT, match.start(), match.end(), match[0].lower(), FAIR)


def _contrast(clause: Clause) -> Iterator[Mention]:
    allergy = FactKind.CONTRAST_ALLERGY
    none = _NO_ALLERGY.search(clause.text)
    if none is not None:
        yield Mention(allergy, Assertion.ABSENT, none.start(), none.end(), "", FAIR)
        return
    for match in _NATIVE.finditer(clause.text):
        yield Mention(FactKind.CONTRAST, Assertion.ABSENT, match.start(), match.end(), "", FAIR)
    for match in _CONTRAST.finditer(clause.text):
        start, end = match.span()
        cue = _allergy_at(clause, start, end)
        kind = allergy if cue is not None else FactKind.CONTRAST
        first, last = (min(start, cue[0]), max(end, cue[1])) if cue is not None else (start, end)
        yield Mention(kind, clause.assertion(first, last), start, end)


def _allergy_at(clause: Clause, start: int, end: int) -> tuple[int, int] | None:
    """Where the clause says allergy of this mention of contrast; the mention itself in a section of allergies."""
    for match in _ALLERGY.finditer(clause.text):
        gap = clause.text[match.end() : start] if match.end() <= start else clause.text[end : match.start()]
        is_list = match.end() <= start and not re.search(r"\b(?:ct|mri|scan|given|without)\b", gap, re.IGNORECASE)
        if len(gap) <= (_ALLERGY_LIST if is_list else _ALLERGY_NEAR) and (is_list or "," not in gap):
            return match.span()
    return (start, end) if clause.section == "allergies" else None
