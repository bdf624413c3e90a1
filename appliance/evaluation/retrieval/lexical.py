"""Search by words: SQLite's FTS5 with Porter stems, ranked by BM25.

BM25: Robertson and Zaragoza, The probabilistic relevance framework: BM25 and beyond, Found Trends Inf Retr 3:333, 2009
(doi 10.1561/1500000019); SQLite uses k1 = 1.2 and b = 0.75 (https://www.sqlite.org/fts5.html, "The bm25() function").
Words of a question that no passage has are looked up as abbreviations, and otherwise replaced by what they most
resemble: the index is small enough for that.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from appliance.contracts.passage import Passage
from appliance.errors import EvaluationError

WEIGHTS = {"title": 3.0, "body": 1.0, "organs": 3.0}
"""Of the columns in BM25. Chosen on the questions of split 'dev': a word in title or organ says what the passage is
of."""

RESEMBLES = 0.78
"""Least ratio of difflib (Ratcliff and Obershelp) for a misspelt word; chosen on split 'dev'."""

SHORTEST_CORRECTED = 5
"""Letters; shorter words resemble too many others. Chosen."""

MOST_LETTERS_APART = 1
"""Chosen: "spleen" is no misspelt "seen"."""

_WORD = re.compile(r"[a-z0-9][a-z0-9./-]*[a-z0-9]|[a-z0-9]", re.IGNORECASE)
_PART = re.compile(r"[a-z0-9]+")

_STOPS = """
a about after all also an and any are as at be been but by can could do does for from get gets had has have he
her here him his how i if in into is it its keep know let long made make many may me might more most much must
my near not of often on one or our out she should so some such tell than that the their them then there these
they this to too up us was way we were what when where which while who why will with would you your
"""
STOP_WORDS = frozenset(_STOPS.split())
"""Words that say nothing of the subject. Chosen."""


@dataclass(frozen=True)
class Words:
    """What a question is searched for, and what was read as something else: (as written, as read)."""

    terms: tuple[str, ...]
    corrected: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()


class WordIndex:
    """Raises EvaluationError where this Python's SQLite has no FTS5."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            self._db.execute(
                "CREATE VIRTUAL TABLE passage USING fts5(id UNINDEXED, title, body, organs, "
                "tokenize = 'porter unicode61 remove_diacritics 2')"
            )
        except sqlite3.OperationalError as error:
            raise EvaluationError(
                f"this Python's SQLite cannot search text ({error}); install one with FTS5"
            ) from error
        rows = [(p.id, p.title, _body(p), _organs(p)) for p in passages]
        self._db.executemany("INSERT INTO passage VALUES (?, ?, ?, ?)", rows)
        self._vocabulary = sorted({part for row in rows for text in row[1:] for part in _PART.findall(text.lower())})
        self._known = frozenset(self._vocabulary)
        self._abbreviations = _tables()

    def words(self, question: str) -> Words:
        terms: list[str] = []
        corrected: list[tuple[str, str]] = []
        unknown: list[str] = []
        for word in _WORD.findall(question.lower()):
            meant = self._abbreviations.get(word.strip("./-"))
            if meant:
                terms += _PART.findall(meant.lower())
            for part in _PART.findall(word):
                if part in STOP_WORDS or _is_letter(part) or (meant and part not in self._known):
                    continue
                terms.append(part)
                if part in self._known or part.isdigit() or self._matches(part):
                    continue
                read = self._nearest(part)
                terms += read
                corrected += [(part, other) for other in read[:1]]
                unknown += [] if read else [part]
        kept = tuple(dict.fromkeys(term for term in terms if term not in STOP_WORDS))
        return Words(kept, tuple(corrected), tuple(unknown))

    def order(self, words: Words, *, first: int) -> list[str]:
        """Ids of passages with any of the words, best first; empty where there is none."""
        if not words.terms:
            return []
        wanted = " OR ".join(f'"{term}"' for term in words.terms)
        rank = f"bm25(passage, 0.0, {WEIGHTS['title']}, {WEIGHTS['body']}, {WEIGHTS['organs']})"
        query = f"SELECT id FROM passage WHERE passage MATCH ? ORDER BY {rank}, id LIMIT ?"
        return [row[0] for row in self._db.execute(query, (wanted, first))]

    def covered(self, words: Words, passage: str) -> float:
        """Share of the question's words that the passage has, a rare word counting more: 0 to 1."""
        if not words.terms:
            return 0.0
        weights = [1.0 / (1 + self._count(term)) for term in words.terms]
        has = [weight for term, weight in zip(words.terms, weights, strict=True) if self._matches(term, passage)]
        return sum(has) / sum(weights)

    def _count(self, term: str) -> int:
        found = self._db.execute("SELECT count(*) FROM passage WHERE passage MATCH ?", (f'"{term}"',))
        return int(found.fetchone()[0])

    def _matches(self, term: str, passage: str = "") -> bool:
        query = "SELECT 1 FROM passage WHERE passage MATCH ?" + (" AND id = ?" if passage else "") + " LIMIT 1"
        return self._db.execute(query, (f'"{term}"', passage) if passage else (f'"{term}"',)).fetchone() is not None

    def _nearest(self, word: str) -> list[str]:
        if len(word) < SHORTEST_CORRECTED:
            return []
        near = [other for other in self._vocabulary if abs(len(other) - len(word)) <= MOST_LETTERS_APART]
        return difflib.get_close_matches(word, near, n=2, cutoff=RESEMBLES)


def as_read(question: str, words: Words) -> str:
    """The question with misspelt words corrected and abbreviations explained behind them, for the search by meaning."""
    table, corrected = _tables(), dict(words.corrected)

    def spelt(match: re.Match[str]) -> str:
        word = corrected.get(match[0].lower(), match[0])
        meant = table.get(word.lower().strip("./-"))
        return f"{word} ({meant})" if meant else word

    return _WORD.sub(spelt, question)


def _is_letter(part: str) -> bool:
    """Single letters are in a question by chance."""
    return len(part) == 1 and part.isalpha()


@cache
def _tables() -> Mapping[str, str]:
    content = tomllib.loads((files("models") / "nomenclature" / "words.toml").read_text("utf-8"))
    return {**content["abbreviation"], **content["spelling"], **content["plain"]}


def _body(passage: Passage) -> str:
    limits = " ".join(f"{limit.metric} {limit.limit:g} {limit.unit}" for limit in passage.limits)
    return f"{passage.text} {passage.endpoint} {' '.join(passage.sites)} {limits}"


@cache
def _organ_names() -> Mapping[str, Sequence[str]]:
    """How clinics call each structure, by its TG-263 name."""
    content = tomllib.loads((files("models") / "nomenclature" / "tg263.toml").read_text("utf-8"))
    return {name: synonyms for kind, table in content.items() if kind != "source" for name, synonyms in table.items()}


def _organs(passage: Passage) -> str:
    names = _organ_names()
    parts: list[str] = []
    for structure in passage.structures:
        for name in structure.split("+"):
            parts += [name.replace("_", " "), *names.get(name, ())]
    return " ".join(dict.fromkeys(parts))
