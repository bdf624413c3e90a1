"""What a typed reason is taken for."""

from __future__ import annotations

import pytest

from appliance.evaluation.preference.reasons import CODES, WORDS, reasons_in


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("lower the left parotid", ("gland",)),
        ("[gland] cord fine", ("gland",)),
        ("PTV underdosed and cord too hot", ("coverage", "nerve")),
        ("Parotid_L", ("gland",)),
        ("SpinalCord_PRV05 above 45 Gy", ("nerve",)),
        ("brain stem", ("nerve",)),
        ("hot spot in the mandible", ("hot_spot", "bone")),
        ("cord ok, rectum too high", ("bowel",)),
        ("for the record, nothing", ()),
        ("", ()),
        ("[nonsense] [bladder]", ("bladder",)),
        ("no benefit over yesterday", ("scheduled",)),
    ],
)
def test_reasons(text: str, codes: tuple[str, ...]) -> None:
    assert reasons_in(text) == codes


def test_every_word_leads_to_a_code_that_there_is() -> None:
    assert set(WORDS) <= set(CODES)
    assert all(reasons_in(word) for words in WORDS.values() for word in words)
