"""`couchside navigate` on stored trade-offs: answers from a folder, in text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.session_traded import NAVIGATION_FILE, navigation_bytes

from ..execution.navigation.sets import by_hand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / NAVIGATION_FILE).write_bytes(navigation_bytes(by_hand()))
    return tmp_path


def test_what_could_be_traded_is_a_row_for_each_goal_and_a_sentence_for_each_plan(run, folder) -> None:
    ran = run("navigate", folder)
    assert ran.code == 0
    assert "less Left Mean" in ran.out and "Cord D0.1cc <= 12 Gy" in ran.out


def test_an_answer_has_what_it_costs_and_whether_it_can_be_had(run, folder) -> None:
    ran = run("navigate", folder, "--goal", "Left Mean <= 5 Gy", "--json")
    answer = json.loads(ran.out)["answer"]
    assert answer["reachable"] is False
    assert [name for name, _ in answer["held_by"]] == ["Right Mean <= 10 Gy"]
    assert run("navigate", folder, "--goal", "Left Mean <= 6.2 Gy", "--allow", "Right").out.startswith(
        "Left Mean <= 6.2 Gy can be had"
    )


def test_the_page_names_what_is_lost_by_sign_and_not_by_colour_alone(run, folder, tmp_path) -> None:
    out = tmp_path / "page"
    assert run("navigate", folder, "--goal", "less Left by 1 Gy", "--out", out).code == 0
    page = (out / "navigation.html").read_text("utf-8")
    assert "What could be traded" in page and "▲" in page and "▼" in page and "✗" in page
    assert json.loads((out / "navigation.json").read_bytes())["answer"]["reachable"] is True


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--goal", "make it nicer"), 4, "not a wish"),
        (("--realise",), 3, "name both"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(run, folder, arguments, code, why) -> None:
    ran = run("navigate", folder, *arguments)
    assert (ran.code, why in ran.err) == (code, True)


def test_a_plan_is_not_written_over_another(run, folder) -> None:
    ran = run("navigate", folder, "--goal", "less Left", "--realise", "--out", folder)
    assert ran.code == 3 and "holds something already" in ran.err
