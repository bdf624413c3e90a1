"""How a plan came about, in the session: an artefact of its own, in the report, and in answer to `explain`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from typer.testing import CliRunner

from appliance.cli.app import app
from appliance.contracts import Case, GoalSet, Planned, PlanningState, PlanningStory, PredictedDose
from appliance.contracts.progress import Progress, detailed, silent
from appliance.errors import ArtefactAltered
from appliance.execution.telling import Teller
from appliance.session import Session, State
from appliance.session_work import StepTimer

from .conftest import Desk
from .standin import open_field


def told_field(case: Case, goal_set: GoalSet, predicted: PredictedDose | None, progress: Progress) -> Planned:
    """The stand-in's plan, with a story of two steps."""
    made = open_field(case, goal_set, predicted, progress)
    teller = Teller(goal_set, lambda values: sum(values))
    values = tuple(goal.limit for goal in goal_set.goals)
    teller.stage("preliminary", "template", PlanningState(values, 1.0, 20.0, 1, "true"))
    better = tuple(value + 0.5 for value in values)
    teller.stage("final", "rules", PlanningState(better, 1.0, 20.0, 1, "true"))
    return replace(made, story=teller.story("rules", ended="all goals met"))


def reviewed(desk: Desk, **changed: object) -> Session:
    session = desk.session(replace(desk.stages, **changed))  # type: ignore[arg-type]
    session.run()
    assert session.state is State.IN_REVIEW, session.standing.facts
    return session


def explain(desk: Desk, *arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["explain", *map(str, arguments), "--store", str(desk.store)])
    return done.exit_code, done.stdout


def test_the_story_is_an_artefact_of_the_planning_row_and_in_the_report(desk: Desk) -> None:
    session = reviewed(desk, plan=told_field)
    data = (session.files.folder / "story.json").read_bytes()
    row = next(row for row in desk.rows("session.transition") if row.data["event"] == "plan")
    assert row.data["artefacts"]["story.json"] == hashlib.sha256(data).hexdigest()  # type: ignore[index, call-overload]
    story = session.files.story()
    assert story is not None and story.to_json() == data
    report = session.files.load("report.html").decode()
    assert "How this plan came about" in report
    assert f"{story.steps[1].gained:+.1f}" in report


def test_a_story_that_was_touched_is_refused(desk: Desk) -> None:
    session = reviewed(desk, plan=told_field)
    path = session.files.folder / "story.json"
    path.write_bytes(path.read_bytes().replace(b"rules", b"ruler"))
    with pytest.raises(ArtefactAltered, match=r"story\.json"):
        session.files.story()


def test_a_session_without_a_story_opens_and_says_so(desk: Desk) -> None:
    session = reviewed(desk)
    assert session.files.story() is None
    assert "How this plan came about" not in session.files.load("report.html").decode()
    code, _ = explain(desk, "s-1", "--only", "story")
    assert code != 0


def test_a_story_of_an_earlier_plan_does_not_count_for_the_next(desk: Desk) -> None:
    session = reviewed(desk, plan=told_field)
    session._fire("revise")
    session._fire("finish revision")
    assert session.state is State.PLANNING
    assert not session.files.has("story.json")


def test_each_step_in_the_log_carries_the_session(desk: Desk) -> None:
    structlog.reset_defaults()  # a command run in this process may have turned lines of this level off
    with capture_logs() as lines:
        reviewed(desk, plan=told_field)
    told = [line for line in lines if line["event"] == "planning step"]
    assert [(line["session"], line["number"], line["stage"]) for line in told] == [
        ("s-1", 0, "preliminary"),
        ("s-1", 1, "final"),
    ]


def test_explain_shows_the_story_of_a_session_and_of_a_folder(desk: Desk, tmp_path: Path) -> None:
    session = reviewed(desk, plan=told_field)
    out = tmp_path / "told"
    code, said = explain(desk, "s-1", "--only", "story", "--out", out, "--json")
    assert code == 0
    document = json.loads(said)
    assert document["story"]["steps"][1]["since"] == 0
    assert (out / "story.json").read_bytes() == session.files.load("story.json")
    assert "How this plan came about" in (out / "story.html").read_text("utf-8")
    code, said = explain(desk, out, "--only", "story")
    assert code == 0
    assert "Planning ended: all goals met." in " ".join(said.split())
    (out / "story.json").write_text('{"policy": 3}')
    code, _ = explain(desk, out, "--only", "story")
    assert code != 0


def test_seconds_are_booked_under_the_step_whatever_its_detail() -> None:
    timer = StepTimer(silent, lambda: None)
    for number in range(3):
        timer(detailed("planner: exploring", f"{number}/15"), 0.1)
    assert list(timer.seconds()) == ["planner: exploring"]


def test_the_schema_is_on_the_file(desk: Desk) -> None:
    document = json.loads(reviewed(desk, plan=told_field).files.load("story.json"))
    assert document["schema"] == "couchside.story/1"
    assert document["not_for_clinical_use"] is True
    assert PlanningStory.from_json(json.dumps(document).encode()).policy == "rules"
