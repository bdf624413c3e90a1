"""`couchside why` and `couchside notes` from the command line, on a built-in case."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.builtin import write_study

from .conftest import Ran

Run = Callable[..., Ran]


def test_a_question_is_answered_with_sources(run: Run) -> None:
    answer = json.loads(run("why", "Why is bowel bag V45 limited to 195 cc?", "--json").out)
    assert answer["answered"] is True
    first = answer["matches"][0]["passage"]
    assert first["id"] == "quantec.bowel.bag" and first["doi"] == "10.1016/j.ijrobp.2009.05.071"
    text = run("why", "Why is bowel bag V45 limited to 195 cc?").out
    assert "https://doi.org/10.1016/j.ijrobp.2009.05.071" in text and "Kavanagh et al." in text


def test_a_goal_may_use_any_known_name_of_its_structure(run: Run) -> None:
    answer = json.loads(run("why", "--goal", "Bladder_Wall V65Gy <= 50 %", "--json").out)
    assert answer["answered"] is False
    answer = json.loads(run("why", "--goal", "RightParotid Mean <= 20 Gy", "--first", "1", "--json").out)
    assert [match["passage"]["id"] for match in answer["matches"]] == ["quantec.parotid.one-spared"]


@pytest.mark.parametrize("arguments", [(), ("question", "--goal", "Heart Mean"), ("--goal", "no goal at all")])
def test_neither_both_or_no_goal_is_refused(run: Run, arguments) -> None:
    ran = run("why", *arguments)
    assert ran.code == 4 and "goal" in ran.err


def test_notes_are_read_without_a_case(run: Run, tmp_path: Path) -> None:
    note = tmp_path / "letter.txt"
    note.write_text("No pacemaker. He received 30 Gy in 10 fractions to the spine in 2019.")
    found = json.loads(run("notes", note, "--json").out)
    assert [(fact["kind"], fact["assertion"], fact["dose_gy"]) for fact in found["facts"]] == [
        ("cardiac_device", "absent", None),
        ("prior_radiotherapy", "present", 30.0),
    ]
    assert found["findings"] == []
    assert "prior radiotherapy" in run("notes", note).out


def test_notes_in_a_cases_folder_are_held_against_it(run: Run, tmp_path: Path) -> None:
    write_study("c-shape", tmp_path, day="today")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "letter.txt").write_text("Plan: 60 Gy in 30 fractions. She has an ICD.")
    found = json.loads(run("notes", "--case", tmp_path, "--json").out)
    outcomes = {finding["id"]: finding["outcome"] for finding in found["findings"]}
    assert outcomes["notes.prescription"] == outcomes["notes.cardiac-device"] == "found"
    assert outcomes["notes.unread"] == "passed"


def test_no_notes_are_refused(run: Run, tmp_path: Path) -> None:
    ran = run("notes")
    assert ran.code == 4 and "there are no notes" in ran.err
    assert run("notes", tmp_path / "absent.txt").code == 4
