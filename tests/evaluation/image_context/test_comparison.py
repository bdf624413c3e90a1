"""When a network may draw an organ of today: it won on both kinds of image, surely, and with these weights."""

from __future__ import annotations

import hashlib
import re

import pytest

from appliance.errors import ModelError
from appliance.evaluation.image_context import load_network

from .conftest import MODEL, NAMES

OTHER = "1" * 64


def stated(
    image: str, gain: str = "[0.01, 0.05]", added: str = "[-1.0, 0.5]", days: int = 24, organ: str = "Parotid_L"
) -> str:
    return (
        f'[[comparison]]\norgan = "{organ}"\nimage = "{image}"\ndays = {days}\n'
        f"dice_gain = {gain}\ndistance_added_mm = {added}\n"
    )


@pytest.fixture
def compared(write):
    """The tiny network with rows of comparison, said to be of its weights or of others."""

    def made(*rows: str, sha256: str = ""):
        of = f'compared_sha256 = "{sha256 or hashlib.sha256(MODEL).hexdigest()}"\n'
        path = write(('licence = "none"\n', f'licence = "none"\n{of}'))
        path.write_text(path.read_text("utf-8") + "".join(rows), "utf-8")
        return load_network(path, NAMES)

    return made


def test_an_organ_that_wins_on_both_kinds_of_image_may_be_drawn_and_no_other(compared):
    network = compared(stated("CT"), stated("CBCT"))
    assert network.why_propagated("Parotid_L") == ""
    assert "no comparison with propagation on CT" in network.why_propagated("Parotid_R")
    assert "no such label" in network.why_propagated("Brainstem")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "no comparison with propagation on CT"),
        ((stated("CT"),), "no comparison with propagation on CBCT"),
        ((stated("CT"), stated("CBCT", days=9)), "on 9 days of CBCT, and 10 are the fewest"),
        ((stated("CT"), stated("CBCT", gain="[0.0, 0.08]")), r"on CBCT it does not beat .* \+0.000 to \+0.080"),
        ((stated("CT", gain="[-0.2, -0.1]"), stated("CBCT")), "on CT it does not beat"),
        ((stated("CT", added="[0.1, 2.0]"), stated("CBCT")), "on CT its surface lies farther off"),
    ],
)
def test_whatever_was_not_shown_is_propagated(compared, rows, words):
    assert re.search(words, compared(*rows).why_propagated("Parotid_L"))


def test_a_comparison_of_other_weights_shows_nothing(compared):
    network = compared(stated("CT"), stated("CBCT"), sha256=OTHER)
    assert "with these weights" in network.why_propagated("Parotid_L")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((stated("CT"), stated("CT")), "stands twice"),
        ((stated("CT", gain="[0.05, 0.01]"),), r"dice_gain must be \[low, high\]"),
        ((stated("MR"),), "comparison.1.image"),
    ],
)
def test_what_a_comparison_may_not_say(compared, rows, words):
    with pytest.raises(ModelError, match=words):
        compared(*rows)
