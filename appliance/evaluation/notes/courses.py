"""Courses of radiation in a clause: what was given before, and what is prescribed now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.contracts.notes import Assertion, FactKind
from appliance.evaluation.notes.concepts import FAIR, SURE, Mention
from appliance.evaluation.notes.context import Clause

DOUBTFUL = 0.6
"""Where neither the words nor the section say whether a course was or will be. Chosen."""

LARGEST_COURSE_GY = 100.0
"""Chosen: no course of photons prescribes more; larger numbers are something else."""

_NUMBER = r"\d{1,4}(?:[.,]\d{1,2})?"
_UNIT = r"\s?(?P<unit>c?Gy)\b"
_FRACTIONS = (
    r"(?:(?P<fx>\d{1,2})\s*|(?:a |one )?single |one )(?:daily |once[- ]daily |equal )*"
    r"(?:fx|fxs|fractions?|frs?|#|treatments|sessions)(?!\w)"
)
_COURSES = (
    re.compile(rf"(?P<dose>{_NUMBER})(?:/{_NUMBER})*{_UNIT}\s*(?:in|/|over|,|given in)\s*{_FRACTIONS}", re.IGNORECASE),
    re.compile(rf"(?P<each>{_NUMBER}){_UNIT}\s*[x×]\s*(?P<fx>\d{{1,2}})\b", re.IGNORECASE),
    re.compile(rf"\b(?P<fx>\d{{1,2}})\s*[x×]\s*(?P<each>{_NUMBER}){_UNIT}", re.IGNORECASE),
    re.compile(rf"\b{_FRACTIONS}\s*(?:of|at|à|@)\s*(?P<each>{_NUMBER}){_UNIT}", re.IGNORECASE),
)
_BY_EACH = re.compile(
    rf"(?P<dose>{_NUMBER}){_UNIT}\s*(?:\(|at|in|,)?\s*(?P<each>{_NUMBER})\s?c?Gy\s*(?:/|per)\s*(?:fx|fraction)",
    re.IGNORECASE,
)
_EACH_TIMES = re.compile(
    rf"(?P<each>{_NUMBER}){_UNIT}\s*(?:/|per)\s*(?:fx|fraction)\s*(?:for|x|×|,|in|over|to)?\s*{_FRACTIONS}",
    re.IGNORECASE,
)
_EACH = re.compile(r"\b(?:per|/|each)\s*(?:fraction|fx)\b[^,;.]{0,10}$", re.IGNORECASE)
_TOTAL = re.compile(rf"\btotal(?: dose)?(?: of)?:?\s*(?P<dose>{_NUMBER}){_UNIT}", re.IGNORECASE)
_ONLY_FRACTIONS = re.compile(rf"(?<!of )\b{_FRACTIONS}", re.IGNORECASE)
_DOSE = re.compile(rf"(?P<dose>{_NUMBER}){_UNIT}", re.IGNORECASE)

_RADIATION = re.compile(
    r"\b(?:radio(?:therapy|surgery)|radiation(?!\s+(?:therap(?:ist|ists)|oncolog\w+|department|physic\w+|safety|dose"
    r"|dermatitis|mucositis|o?esophagitis|cystitis|enteritis))"
    r"(?: (?:therapy|treatments?))?|(?-i:RT|XRT|EBRT|IMRT|VMAT|SBRT|SABR|SRS|SRT|WBRT|PCI|TBI|PMRT)\b|brachytherapy"
    r"|gamma knife|cyberknife|chemo-?radi(?:ation|otherapy)|radio-?chemotherapy|proton(?: beam)? therapy"
    r"|(?:re-?)?irradiat(?:ed|ion))",
    re.IGNORECASE,
)
_NAIVE = re.compile(r"\b(?:radiation|radiotherapy|RT)[- ]na[iï]ve\b", re.IGNORECASE)
_WAS = re.compile(
    r"\b(?:received|delivered|gave|last (?:year|month)|had|underwent|completed|finished|(?:was|were"
    r"|been) (?:irradiated|treated)|treated with|s/p|status post"
    r"|post|after|following|years? ago|months ago|as a child|declined|refused|recurrence|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_GIVEN = re.compile(
    r"\b(?:received|delivered|gave|completed|finished|treated|irradiated|s/p|status post|prior|previous(?:ly)?"
    r"|history of"
    r"|ago|last (?:year|month)|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
"""Without a word of radiation, a dose was given only where one of these says so."""

_BEFORE = re.compile(r"\b(?:prior|previous(?:ly)?|earlier|past|history of|h/o|hx of|re-?irradiation)\b", re.IGNORECASE)
_WILL = re.compile(
    r"\b(?:will|plan(?:s|ned)?|scheduled|recommend(?:s|ed)?|consider\w*|refer(?:red|ral)?|candidate|discuss\w*|offer(?:ed)?"
    r"|to receive|to start|adjuvant|here for|presents for|seen for|starts?|proposed|prescri\w+|rx|to be treated"
    r"|intent|risks?|during|consent\w*)\b",
    re.IGNORECASE,
)
_AGAIN = re.compile(r"\b(?:re-?irradiation|repeat course|second course)\b", re.IGNORECASE)
_ALREADY = re.compile(r"\b\d{1,2}\s*(?:of|out of|/)\s*\d{1,2}\s*(?:fx|fractions?)\b", re.IGNORECASE)
_DATE = re.compile(
    r"\b(?:(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\.? (?:\d{1,2},? )?)?(?:19|20)\d\d\b"
    r"|\b(?:\w+ )years? ago\b",
    re.IGNORECASE,
)
SITES = (
    r"breast|lungs?|(?:upper|lower|middle) lobe|neck|head|brain|whole brain|prostate(?: bed)?|pelvi[sc]|rectum|bladder"
    r"|cervix|uterus|oesophagus|esophagus|chest(?: wall)?|thorax|mediastinum|axilla|spine"
    r"|[ctls]\d{1,2}(?:[-–][ctls]?\d{1,2})?"
    r"|femur|hip|liver|pancreas|stomach|kidney|parotid|tonsil|tongue|larynx|nasopharynx|oropharynx|orbit|mantle|abdomen"
    r"|frontal|parietal|temporal|occipital|cerebell\w+|scalp|skin|bone|PTV\w*"
)
_SITE = re.compile(rf"\b(?:{SITES})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Course:
    dose_gy: float
    fractions: int | None
    start: int
    end: int


def courses(text: str) -> list[Course]:
    """Every dose with its fractions, in order; a total and fractions stated apart count as one."""
    found: list[Course] = []
    for pattern in _COURSES:
        for match in pattern.finditer(text):
            parts, number = match.groupdict(), int(match["fx"] or 1)
            each = parts.get("each") or (parts["dose"] if _EACH.search(text, 0, match.start()) else None)
            dose = number * _gy(each, parts["unit"]) if each else _gy(parts["dose"], parts["unit"])
            if 0 < dose <= LARGEST_COURSE_GY and all(match.end() <= c.start or match.start() >= c.end for c in found):
                found.append(Course(round(dose, 3), number, *match.span()))
    if not found:
        found += _by_fraction_dose(text)
    total, fractions = _TOTAL.search(text), _ONLY_FRACTIONS.search(text)
    if not found and total is not None and fractions is not None:
        dose = _gy(total["dose"], total["unit"])
        found.append(Course(dose, int(fractions["fx"] or 1), *total.span()))
    return sorted(found, key=lambda course: course.start)


def _by_fraction_dose(text: str) -> list[Course]:
    """'60 Gy (2 Gy/fx)' and '2 Gy per fraction for 30 fractions'; the number of fractions only where it is a whole
    one."""
    match = _BY_EACH.search(text)
    if match is not None:
        dose, each = _gy(match["dose"], match["unit"]), _gy(match["each"], match["unit"])
        number = dose / each if each else 0.0
        return (
            [Course(dose, round(number), *match.span())] if number >= 1 and abs(number - round(number)) < 0.01 else []
        )
    match = _EACH_TIMES.search(text)
    if match is None:
        return []
    number = int(match["fx"] or 1)
    return [Course(round(number * _gy(match["each"], match["unit"]), 3), number, *match.span())]


def mentions(clause: Clause) -> Iterator[Mention]:
    """Earlier courses first, then prescriptions of what is left."""
    text = clause.text
    if _ALREADY.search(text) and not _DOSE.search(text):
        return
    found = courses(text)
    earlier = list(_earlier(clause, found))
    yield from earlier
    if any(mention.dose_gy is not None for mention in earlier):
        return
    if _is_earlier(clause) and _GIVEN.search(text) and not _is_again(text):
        return
    for course in found:
        assertion = clause.assertion(course.start, course.end)
        said = clause.section == "plan" or _WILL.search(text) is not None or re.search(r"\bplan:", text, re.IGNORECASE)
        yield Mention(
            FactKind.PRESCRIPTION,
            assertion,
            course.start,
            course.end,
            confidence=SURE if said else DOUBTFUL,
            dose_gy=course.dose_gy,
            fractions=course.fractions,
            site=_site_near(text, course.start, course.end),
        )


def _earlier(clause: Clause, found: list[Course]) -> Iterator[Mention]:
    text = clause.text
    naive = _NAIVE.search(text)
    if naive is not None:
        yield Mention(FactKind.PRIOR_RADIOTHERAPY, Assertion.ABSENT, *naive.span())
        return
    match = _RADIATION.search(text)
    only_dose = None if match or found or not _DATE.search(text) else _DOSE.search(text)
    if match is None and not ((found or only_dose) and _is_earlier(clause) and _GIVEN.search(text)):
        return
    place = match or only_dose
    start, end = place.span() if place is not None else (found[0].start, found[0].end)
    assertion = clause.assertion(start, end)
    if not _is_earlier(clause) and (assertion is not Assertion.ABSENT or _WILL.search(text)):
        return
    dose, fractions = (None, None) if _is_again(text) else _dose_of(text, found)
    is_said = assertion in (Assertion.PRESENT, Assertion.POSSIBLE, Assertion.OTHER_PERSON)
    yield Mention(
        FactKind.PRIOR_RADIOTHERAPY,
        assertion,
        start,
        end,
        confidence=SURE if match is not None else FAIR,
        dose_gy=dose if is_said else None,
        fractions=fractions if is_said else None,
        site=_site_near(text, start, end),
        date=date[0] if (date := _DATE.search(text)) else "",
    )


def _is_again(text: str) -> bool:
    """Whether the clause plans another course where there was one: its dose is then the new one's."""
    return _AGAIN.search(text) is not None and _WILL.search(text) is not None


def _is_earlier(clause: Clause) -> bool:
    """Whether the clause speaks of what was, rather than of what is planned."""
    if _BEFORE.search(clause.text) or clause.section == "history":
        return True
    return _WAS.search(clause.text) is not None and _WILL.search(clause.text) is None


def _dose_of(text: str, found: list[Course]) -> tuple[float | None, int | None]:
    if found:
        return found[0].dose_gy, found[0].fractions
    match = _DOSE.search(text)
    dose = _gy(match["dose"], match["unit"]) if match is not None else 0.0
    return (dose, None) if 0 < dose <= LARGEST_COURSE_GY else (None, None)


def _site_near(text: str, start: int, end: int) -> str:
    found = [(min(abs(m.start() - end), abs(start - m.end())), m[0]) for m in _SITE.finditer(text)]
    return min(found)[1] if found else ""


def _gy(number: str, unit: str) -> float:
    return float(number.replace(",", ".")) / (100.0 if unit.lower() == "cgy" else 1.0)
