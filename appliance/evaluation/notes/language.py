"""Which language a piece of text is in, by its commonest words. Only English is read; nothing is guessed from
others."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

NAMES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "nl": "Dutch",
    "pt": "Portuguese",
    "sv": "Swedish",
}

FEWEST_WORDS = 6
"""Shorter pieces cannot be told apart and are taken as of the language around them. Chosen."""

LEAST_SHARE, LEAST_LEAD = 0.10, 1.25
"""A language is named where so much of the text is its function words, and so many times more than of English.
Chosen."""

MOST_FOREIGN_LETTERS = 0.3
"""Share of letters outside the Latin script above which a text is of a language that is not known here. Chosen."""

_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str:
    """Two letters; '' where another script or too little to say."""
    letters = [character for character in text if character.isalpha()]
    if letters and sum(not _is_latin(character) for character in letters) > MOST_FOREIGN_LETTERS * len(letters):
        return "?"
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < FEWEST_WORDS:
        return ""
    shares = {name: sum(word in known for word in words) / len(words) for name, known in _profiles().items()}
    best = max(shares, key=lambda name: (shares[name], name == "en"))
    if best == "en" or shares[best] < LEAST_SHARE or shares[best] < LEAST_LEAD * shares["en"]:
        return "en" if shares["en"] > 0 or shares[best] < LEAST_SHARE else ""
    return best


def named(language: str) -> str:
    return NAMES.get(language, "a language that is not known here")


def _is_latin(character: str) -> bool:
    return ord(character) < 0x0250 or 0x1E00 <= ord(character) <= 0x1EFF or character in "αβγδµμ"


@cache
def _profiles() -> Mapping[str, frozenset[str]]:
    table = tomllib.loads((files("models") / "notes" / "stop_words.toml").read_text("utf-8"))
    return {name: frozenset(words.split()) for name, words in table.items()}
