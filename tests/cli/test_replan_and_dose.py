"""Headless commands with the real planner on a small case: the first as a process of its own, the rest in this one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.case import read_dose
from appliance.contracts import RECORD_FILES

from ..session.small_case import SmallCase, write_small_case
from .conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    return write_small_case(tmp_path_factory.mktemp("small") / "case")


@pytest.fixture(scope="module")
def config(small: SmallCase) -> Path:
    path = small.folder.with_name("coarse.toml")
    path.write_text("[planning]\nbeams = 3\nbeamlet_mm = 10.0\ndose_grid_mm = 6.0\nsegments_per_beam = 2\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def replanned(small: SmallCase, config: Path) -> tuple[Path, dict[str, object]]:
    out = small.folder.with_name("out")
    given = (small.folder, "--out", out, "--goals", small.goals, "--config", config)
    words = ("replan", *given, "--store", small.folder.with_name("store"), "--json")
    command = [sys.executable, "-m", "appliance", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_replan_leaves_the_same_files_as_the_demo(replanned: tuple[Path, dict[str, object]]) -> None:
    out, document = replanned
    assert {path.name for path in out.iterdir()} == {
        "RP.dcm",
        "RD_second.dcm",
        "RD.dcm",
        "RS.dcm",
        "scorecard.json",
        "timeline.json",
        "story.json",
        "report.html",
        "goals.toml",
        *RECORD_FILES,
    }
    assert document["approved"] is False
    assert document["scorecard"] == json.loads((out / "scorecard.json").read_bytes())
    assert document["scorecard"]["plan"]["deliverable"] is True  # type: ignore[index]


def test_how_it_was_planned_stands_in_the_log(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase
) -> None:
    done = run("audit", "export", "--store", small.folder.with_name("store"), "--out", replanned[0] / "log.jsonl")
    assert done.code == 0, done.err
    lines = map(json.loads, (replanned[0] / "log.jsonl").read_text("utf-8").splitlines())
    (replanned[0] / "log.jsonl").unlink()
    facts = [line["data"].get("facts", {}) for line in lines if line["kind"] == "row"]
    (planning,) = [one["planning"] for one in facts if "planning" in one]
    assert planning["budget_s"] == 180.0
    assert planning["policy"] in ("learned", "rules")
    known = "the learned policy did not plan to its end (outside what its training saw: "
    assert planning["fallback"].startswith(known) if planning["policy"] == "rules" else not planning["fallback"]


def test_the_story_of_a_replanned_folder_is_that_of_its_session(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase
) -> None:
    """It needs no image. The last step is the plan that was handed on, judged as the scorecard judged it. Stands before
    the test that plans into the same folder again."""
    out, document = replanned
    session = document["session"]["session"]  # type: ignore[index]
    by_folder = run("explain", out, "--only", "story", "--json")
    by_session = run("explain", session, "--only", "story", "--json", "--store", small.folder.with_name("store"))
    assert by_folder.code == 0, by_folder.err
    story = json.loads(by_folder.out)["story"]
    assert story == json.loads(by_session.out)["story"]
    last, card = story["steps"][-1], document["scorecard"]
    assert last["stage"] == "final"
    assert last["goals_met"] == card["goals_met"]  # type: ignore[index]
    assert last["score"] == pytest.approx(100 * card["score"] / card["max_score"], abs=0.05)  # type: ignore[index]
    chains = [step for step in story["steps"] if step["since"] >= 0]
    for step in chains:
        assert step["gained"] == pytest.approx(step["score"] - story["steps"][step["since"]]["score"], abs=1e-9)


def test_a_budget_that_is_too_small_still_gives_a_deliverable_plan(
    run: Run, small: SmallCase, config: Path, tmp_path: Path
) -> None:
    given = (small.folder, "--out", tmp_path / "out", "--goals", small.goals, "--config", config)
    done = run("replan", *given, "--budget-s", "0.01", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["scorecard"]["plan"]["deliverable"] is True
    assert any("the time budget of 0.01 s was used" in note for note in document["scorecard"]["notes"])


def test_what_was_replanned_is_judged_the_same_as_somebody_elses_plan(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase, config: Path, tmp_path: Path
) -> None:
    """CT beside the results, the documents among them passed over: every goal as the session judged it."""
    given, out = tmp_path / "given", tmp_path / "judged"
    shutil.copytree(replanned[0], given)
    (given / "RD_second.dcm").unlink()
    for path in small.files:
        if pydicom.dcmread(path, stop_before_pixels=True).Modality == "CT":
            shutil.copy(path, given)
    done = run("evaluate", given, "--out", out, "--goals", small.goals, "--config", config, "--json")
    assert done.code == 0, done.err
    session, judged = replanned[1]["scorecard"], json.loads((out / "scorecard.json").read_bytes())
    assert [goal["structure"] for goal in judged["goals"]] == [goal["structure"] for goal in session["goals"]]  # type: ignore[index]
    for ours, theirs in zip(session["goals"], judged["goals"], strict=True):  # type: ignore[index]
        assert theirs["value"] == pytest.approx(ours["value"], abs=0.02)
    assert judged["second_check"]["agrees"]
    page = (out / "report.html").read_text("utf-8")
    assert "<h1>Plan as received: " in page and "the second calculated by Couchside" in page
    assert "both calculated" not in page and "RD_second.dcm" not in page
    assert {"report.html", *RECORD_FILES} <= {path.name for path in out.iterdir()}
    other = tmp_path / "other.toml"
    other.write_text(small.goals.read_text().replace("fractions = 5", "fractions = 3"))
    done = run("evaluate", given, "--out", tmp_path / "none", "--goals", other, "--config", config)
    assert done.code == 4 and "the plan has 5 fractions" in " ".join(done.err.split())
    assert not (tmp_path / "none").exists()


def test_evaluate_asks_for_the_plan_and_its_dose(run: Run, small: SmallCase, config: Path, tmp_path: Path) -> None:
    done = run("evaluate", small.folder, "--out", tmp_path / "out", "--goals", small.goals, "--config", config)
    assert done.code == 4
    assert "a plan and its dose are needed" in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()


def test_the_plan_of_replan_is_not_approved(replanned: tuple[Path, dict[str, object]]) -> None:
    plan = pydicom.dcmread(replanned[0] / "RP.dcm")
    assert plan.ApprovalStatus == "UNAPPROVED"
    assert "ReviewerName" not in plan


def test_dose_recalculates_the_plan_to_the_dose_that_replan_wrote(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase, config: Path, tmp_path: Path
) -> None:
    """The same plan on the same CT by two ways: equal up to the 16 bits a written dose has."""
    out = tmp_path / "again.dcm"
    done = run("dose", replanned[0] / "RP.dcm", "--ct", small.folder, "--out", out, "--config", config, "--json")
    assert done.code == 0, done.err
    grid, expected_gy = read_dose(replanned[0] / "RD.dcm")
    whole, found_gy = read_dose(out)
    low = np.rint((np.subtract(grid.origin_mm, whole.origin_mm) / whole.spacing_mm)[::-1]).astype(int)
    inside = tuple(slice(start, start + count) for start, count in zip(low, grid.shape, strict=True))
    assert np.abs(found_gy[inside] - expected_gy).max() < 1e-3 * expected_gy.max()
    assert json.loads(done.out)["maximum_gy"] == pytest.approx(expected_gy.max(), rel=1e-3)


def test_a_second_run_replaces_the_first(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase, config: Path
) -> None:
    out, before = replanned
    (out / "scheduled-scorecard.json").write_text("{}")
    done = run("replan", small.folder, "--out", out, "--goals", small.goals, "--config", config, "--json")
    assert done.code == 0, done.err
    assert not (out / "scheduled-scorecard.json").exists()
    after = json.loads(done.out)
    assert after["scorecard"]["digests"]["plan"] == before["scorecard"]["digests"]["plan"]  # type: ignore[index]


def test_robustness_of_a_replanned_folder(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase, config: Path, tmp_path: Path
) -> None:
    done = run(
        "robustness",
        replanned[0],
        "--ct",
        small.folder,
        "--config",
        config,
        "--out",
        tmp_path,
        "--shift-mm",
        3,
        "--json",
    )
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document == json.loads((tmp_path / "robustness.json").read_bytes())
    shifts = [one["displacement"]["shift_mm"] for one in document["scenarios"] if one["kind"] == "shift"]
    assert sorted(abs(value) for shift in shifts for value in shift) == [0.0] * 12 + [3.0] * 6
    card = replanned[1]["scorecard"]
    told = {(goal["structure"], goal["metric"]): goal["value"] for goal in card["goals"]}  # type: ignore[index]
    for goal in document["goals"]:
        assert goal["nominal"] == pytest.approx(told[goal["structure"], goal["metric"]], abs=0.02)
        assert 0.0 <= goal["chance_low"] <= goal["chance_met"] <= goal["chance_high"] <= 1.0
    assert "Robustness" in (tmp_path / "robustness.html").read_text("utf-8")


def test_a_session_and_the_folder_it_wrote_give_the_same_answer(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase, config: Path
) -> None:
    """Up to the digits of a written plan and the 16 bits of a written dose."""
    session = replanned[1]["session"]["session"]  # type: ignore[index]
    store = small.folder.with_name("store")
    asked = ("--config", config, "--json")
    by_session = run("robustness", session, "--store", store, *asked)
    by_folder = run("robustness", replanned[0], "--ct", small.folder, *asked)
    assert by_session.code == 0, by_session.err
    one, other = (json.loads(done.out)["goals"] for done in (by_session, by_folder))
    for goal, same in zip(one, other, strict=True):
        np.testing.assert_allclose(goal["values"], same["values"], atol=0.02)
    assert run("robustness", "no-such-session", "--store", store).code == 10


def test_explain_a_replanned_folder(
    run: Run, replanned: tuple[Path, dict[str, object]], small: SmallCase, config: Path, tmp_path: Path
) -> None:
    """A goal that nothing can meet beside coverage is missed, and told why."""
    out = tmp_path / "asked"
    out.mkdir()
    for name in ("RP.dcm", "RD.dcm"):
        (out / name).write_bytes((replanned[0] / name).read_bytes())
    goals = (replanned[0] / "goals.toml").read_text("utf-8")
    (out / "goals.toml").write_text(_impossible(goals), "utf-8")
    done = run("explain", out, "--ct", small.folder, "--config", config, "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["explanations"]
    assert found == json.loads((tmp_path / "explanations.json").read_bytes())
    failed = next(one for one in found if one["state"] == "failed" and one["limit"] == 0.1)
    assert failed["reasons"]
    assert failed["change"] is None
    assert failed["no_change"]


def _impossible(goals: str) -> str:
    """The last upper limit in Gy as 0.1 Gy."""
    blocks = goals.split("[[goal]]")
    number = max(i for i, block in enumerate(blocks) if 'comparator = "<="' in block and 'unit = "Gy"' in block)
    lines = ["limit = 0.1" if line.startswith("limit") else line for line in blocks[number].splitlines()]
    blocks[number] = "\n".join(lines) + "\n"
    return "[[goal]]".join(blocks)


def test_a_folder_without_its_image_is_asked_for_it(run: Run, replanned: tuple[Path, dict[str, object]]) -> None:
    done = run("robustness", replanned[0])
    assert done.code == 4
    assert "--ct" in done.err
