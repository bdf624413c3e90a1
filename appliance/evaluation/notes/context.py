"""What a mention means where it stands: denied, doubtful, conditional, past, of somebody else, or so.

After NegEx and ConText (sources in models/notes/context.toml): trigger words before or behind a mention reach until the
end of the clause; a termination ends a clause; pseudo phrases count for nothing. Each clause is judged by itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from appliance.contracts.notes import Assertion
from appliance.evaluation.notes.sentences import FAMILY, Piece

HISTORY = "history"

_ORDER = (
    Assertion.OTHER_PERSON,
    Assertion.CONDITIONAL,
    Assertion.POSSIBLE,
    Assertion.ABSENT,
    Assertion.PAST,
)
"""Where several hold, the first does: 'if she is not pregnant' says nothing of today, 'mother denies' nothing of
her."""

_ANSWER = re.compile(
    r"^[\w /,()'-]{0,40}?\s*[:?=]\s*(?:\[[ xX]?\]\s*)?"
    r"(?P<word>no|none|nil|n/a|negative|neg|absent|denied|unknown|yes|present|positive|n|y)\b",
    re.IGNORECASE,
)
_ANSWERS = {
    **dict.fromkeys(("no", "none", "nil", "n/a", "negative", "neg", "absent", "denied", "n"), Assertion.ABSENT),
    **dict.fromkeys(("yes", "present", "positive", "y"), Assertion.PRESENT),
    "unknown": Assertion.POSSIBLE,
}
_PATIENT_AGAIN = re.compile(
    r"\s*(?:;|but\b|however\b|whereas\b|and now has|,\s*(?:he|she|now|currently|the patient|patient)\b"
    r"|the patient (?:him|her)self)",
    re.IGNORECASE,
)
"""A clause that begins so is of the patient again; what follows otherwise on 'her uncle' still is of the uncle."""

_CONCESSION = re.compile(r"^\s*(?:although|though|while|whereas)\b[^,]*,", re.IGNORECASE)
_AFFIRMED = re.compile(
    r",(?=(?!\s*(?:no|not|nor|without|never)\b)[^,;]*"
    r"\b(?:in situ|in place|is present|was implanted|since (?:19|20)\d\d))",
    re.IGNORECASE,
)
"""A comma before something that is said to be there: what was denied before it reaches no farther."""


@dataclass(frozen=True)
class _Trigger:
    category: str
    before: bool
    start: int
    end: int


@dataclass(frozen=True)
class Clause:
    """Part of a sentence in which triggers reach each other's mentions. start: its place in the note's text."""

    text: str
    start: int
    section: str
    triggers: tuple[_Trigger, ...]

    def assertion(self, start: int, end: int, *, of_history: bool = False) -> Assertion:
        """Of the mention at these characters of the clause; of_history: 'history of' makes it past."""
        answer = _ANSWER.match(self.text[end:])
        if answer is not None:
            return _ANSWERS[answer["word"].lower()]
        met = {t.category for t in self.triggers if (t.end <= start if t.before else t.start >= end)}
        if self.section == FAMILY:
            met.add(Assertion.OTHER_PERSON.value)
        if of_history and HISTORY in met:
            met.add(Assertion.PAST.value)
        return next((assertion for assertion in _ORDER if assertion.value in met), Assertion.PRESENT)


def clauses(text: str, sentence: Piece) -> list[Clause]:
    """The clauses of one sentence, in order."""
    words = text[sentence.start : sentence.end]
    cuts = sorted({0, *_cuts(words), len(words)})
    found: list[Clause] = []
    section = sentence.section
    for start, end in pairwise(cuts):
        part = words[start:end]
        if _PATIENT_AGAIN.match(part):
            section = sentence.section
        if part.strip(" ;,."):
            triggers = tuple(_triggers(part))
            found.append(Clause(part, sentence.start + start, section, triggers))
            if any(trigger.category == Assertion.OTHER_PERSON.value and trigger.before for trigger in triggers):
                section = FAMILY
    return found


def _cuts(words: str) -> Iterable[int]:
    yield from (match.start() for match in _terminations().finditer(words))
    yield from (match.start() for match in _AFFIRMED.finditer(words))
    concession = _CONCESSION.match(words)
    if concession is not None:
        yield concession.end()


def _triggers(part: str) -> Iterable[_Trigger]:
    """Pseudo phrases first; of phrases within one another only the longest, so that 'not certain whether' is no
    'not'."""
    taken = [match.span() for match in _pseudo().finditer(part)]
    reached = pseudo = 0
    for match in _phrases().finditer(part):
        start, end, words = match.start(), match.end(1), match[1]
        while pseudo < len(taken) and taken[pseudo][1] <= start:
            pseudo += 1
        is_pseudo = pseudo < len(taken) and taken[pseudo][0] < end
        is_within, reached = end <= reached, max(reached, end)
        if is_pseudo or is_within:
            continue
        for category, before in _roles()[" ".join(words.lower().split())]:
            yield _Trigger(category, before, start, end)


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((files("models") / "notes" / "context.toml").read_text("utf-8"))


@cache
def _roles() -> dict[str, list[tuple[str, bool]]]:
    """Phrase to its categories, each with whether it stands before the mention."""
    roles: dict[str, list[tuple[str, bool]]] = {}
    for category, lists in _table().items():
        for side in ("before", "after"):
            for phrase in lists.get(side, ()):
                roles.setdefault(phrase, []).append((category, side == "before"))
    return roles


def _pattern(phrases: Iterable[str]) -> str:
    """Longest first, so that 'no known' is not read as 'no'."""
    ordered = sorted({phrase.strip() for phrase in phrases}, key=lambda phrase: (-len(phrase), phrase))
    return "|".join(r"\s+".join(re.escape(word) for word in phrase.split()) for phrase in ordered)


@cache
def _phrases() -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?=({_pattern(_roles())})(?!\w))", re.IGNORECASE)


@cache
def _pseudo() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_pattern(_table()['pseudo']['phrases'])})(?!\w)", re.IGNORECASE)


@cache
def _terminations() -> re.Pattern[str]:
    table = _table()["termination"]
    alone, after_comma = _pattern(table["phrases"]), _pattern(table["after_comma"])
    return re.compile(rf";|(?<=[,\s])(?:{alone})\b|,\s+(?=(?:{after_comma})\b)", re.IGNORECASE)
