"""BERT's uncased WordPiece tokens.

Devlin et al., BERT, NAACL-HLT 2019 (https://aclanthology.org/N19-1423), section 3, after Wu et al., arXiv 1609.08144:
text is cleaned, lower-cased and stripped of accents, split at spaces and punctuation, and each word is cut greedily
into the longest pieces that the vocabulary holds. Written here because the usual library brings a network client along,
which has no place on the appliance; tests/engines/language holds both to the same tokens.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

LONGEST_WORD = 100
"""Longer words become one unknown token, as in the published tokenizer."""


@dataclass(frozen=True)
class Tokens:
    """Of one text: ids and (start, end) character offsets into it, special tokens included with offsets (0, 0)."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


class WordPiece:
    """`vocabulary`: piece to id, with [CLS], [SEP], [PAD] and [UNK] among them. Raises EngineError without those."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        missing = [name for name in ("[CLS]", "[SEP]", "[PAD]", "[UNK]") if name not in vocabulary]
        if missing:
            raise EngineError(f"the vocabulary lacks {', '.join(missing)}")
        self._vocabulary = dict(vocabulary)
        self.cls, self.sep = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self.pad, self.unknown = vocabulary["[PAD]"], vocabulary["[UNK]"]

    @staticmethod
    def load(path: Path) -> WordPiece:
        """From a vocab.txt: one piece a line, its id the line number from 0."""
        return WordPiece({piece: number for number, piece in enumerate(path.read_text("utf-8").splitlines())})

    def encode(self, text: str, *, longest: int) -> Tokens:
        """[CLS] pieces [SEP], cut after `longest` tokens in all."""
        ids, offsets = [self.cls], [(0, 0)]
        for word, places in _words(text):
            for piece, start, end in self._pieces(word):
                ids.append(piece)
                offsets.append((places[start], places[end - 1] + 1))
        ids, offsets = ids[: longest - 1], offsets[: longest - 1]
        return Tokens((*ids, self.sep), (*offsets, (0, 0)))

    def batch(self, texts: list[str], *, longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(input_ids, attention_mask), each (texts, tokens of the longest); mask 1 on tokens, 0 on padding."""
        rows = [self.encode(text, longest=longest).ids for text in texts]
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), self.pad, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)], mask[number, : len(row)] = row, 1
        return ids, mask

    def _pieces(self, word: str) -> list[tuple[int, int, int]]:
        """(id, start, end) of each piece in the word; the whole word unknown if any part of it is."""
        if len(word) > LONGEST_WORD:
            return [(self.unknown, 0, len(word))]
        found: list[tuple[int, int, int]] = []
        start = 0
        while start < len(word):
            end = len(word)
            while end > start and (("##" if start else "") + word[start:end]) not in self._vocabulary:
                end -= 1
            if end == start:
                return [(self.unknown, 0, len(word))]
            found.append((self._vocabulary[("##" if start else "") + word[start:end]], start, end))
            start = end
        return found


def _words(text: str) -> list[tuple[str, list[int]]]:
    """Words and single punctuation marks in lower case without accents, each with the place in `text` that every one of
    its characters came from."""
    words: list[tuple[str, list[int]]] = []
    word, places = "", [0][:0]

    def close() -> None:
        nonlocal word, places
        if word:
            words.append((word, places))
        word, places = "", []

    for place, raw in enumerate(text):
        if _is_control(raw):
            continue
        if raw.isspace():
            close()
            continue
        for character in unicodedata.normalize("NFD", raw.lower()):
            if unicodedata.category(character) == "Mn":
                continue
            if _is_punctuation(character) or _is_ideograph(character):
                close()
                words.append((character, [place]))
            else:
                word += character
                places = [*places, place]
    close()
    return words


def _is_control(character: str) -> bool:
    if character in "\t\n\r":
        return False
    return character in "\0\ufffd" or unicodedata.category(character).startswith("C")


def _is_punctuation(character: str) -> bool:
    """Unicode punctuation, and every printable ASCII sign that is neither letter nor digit."""
    if "!" <= character <= "~" and not character.isalnum():
        return True
    return unicodedata.category(character).startswith("P")


def _is_ideograph(character: str) -> bool:
    return 0x4E00 <= ord(character) <= 0x9FFF or 0x3400 <= ord(character) <= 0x4DBF
