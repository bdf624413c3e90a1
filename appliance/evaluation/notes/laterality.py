"""On which side the disease is: a side and a word of disease in one clause."""

from __future__ import annotations

import re
from collections.abc import Iterator

from appliance.contracts.notes import Assertion, FactKind
from appliance.evaluation.notes.concepts import FAIR, SURE, Mention
from appliance.evaluation.notes.context import Clause
from appliance.evaluation.notes.courses import SITES

FARTHEST = 60
"""Characters between side and disease. Chosen."""

_SIDE = re.compile(
    r"\b(?:(?P<left>left|(?-i:Lt\.?|L(?= (?:tonsil|breast|lung|neck|parotid|tongue|kidney|adrenal|axilla|upper"
    r"|lower))))"
    r"|(?P<right>right|(?-i:Rt\.?|R(?= (?:tonsil|breast|lung|neck|parotid|tongue|kidney|adrenal|axilla|upper"
    r"|lower|middle))))"
    r"|(?P<both>bilateral(?:ly)?|both sides))(?:[- ]?sided)?(?!\w)",
    re.IGNORECASE,
)
_NO_DISEASE_SIDE = re.compile(
    r"^[\s,-]*(?:handed|hander|arm\b|hand\b|wrist|ventric|atri|bundle|heart|now\b|away|after|knee|shoulder pain"
    r"|hip pain"
    r"|hip (?:replace|prosth|arthro)|hip\w* replace|total (?:hip|knee)|ear pain|subclavian|jugular|chest port|port)",
    re.IGNORECASE,
)
_DISEASE = re.compile(
    r"\b(?:cancers?|carcinomas?|ca\b\.?|tumou?rs?|mass(?:es)?|lesions?|malignan\w+|(?-i:SCC|NSCLC|SCLC|DCIS|HCC|RCC|GBM)\b"
    r"|adenocarcinomas?|sarcomas?|melanomas?|metasta\w+|disease|lymphomas?|gliomas?|glioblastomas?|meningiomas?"
    r"|schwannomas?|lymphadenopathy|nodes?\b|nodal|nodules?|recurrences?|neoplas(?:ms?|ia)|seminomas?|(?-i:HNSCC|IDC|ILC)\b)",
    re.IGNORECASE,
)
_SITE = re.compile(rf"\b(?:{SITES})\b", re.IGNORECASE)


def mentions(clause: Clause, *, treated_before: bool = False) -> Iterator[Mention]:
    """One for each side that is nearest to a word of disease. treated_before: the clause tells of an earlier course, so
    that its disease is not today's."""
    diseases = [match.span() for match in _DISEASE.finditer(clause.text)]
    seen: set[tuple[str, Assertion]] = set()
    for match in _SIDE.finditer(clause.text):
        start, end = match.span()
        if _NO_DISEASE_SIDE.match(clause.text[end:]):
            continue
        near = min(diseases, key=lambda span: _gap(span, (start, end)), default=None)
        if near is None or _gap(near, (start, end)) > FARTHEST:
            continue
        assertion = _strongest(clause.assertion(start, end, of_history=True), clause.assertion(*near, of_history=True))
        if treated_before and assertion is Assertion.PRESENT:
            assertion = Assertion.PAST
        value = match.lastgroup or ""
        if (value, assertion) in seen:
            continue
        seen.add((value, assertion))
        site = _SITE.search(clause.text, end) or _SITE.search(clause.text)
        confidence = SURE if _gap(near, (start, end)) <= FARTHEST // 2 else FAIR
        yield Mention(FactKind.LATERALITY, assertion, start, end, value, confidence, site=site[0] if site else "")


def _gap(one: tuple[int, int], other: tuple[int, int]) -> int:
    return max(0, max(one[0], other[0]) - min(one[1], other[1]))


def _strongest(one: Assertion, other: Assertion) -> Assertion:
    """The less certain of both."""
    return one if one is not Assertion.PRESENT else other
