"""What could be traded, laid beside a session in review: recorded like every artefact, and gone with the plan."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from appliance.contracts import Undo
from appliance.errors import ArtefactAltered, AuditError, DiskFull, PlanningError, WriteFailed
from appliance.node.beside_review import BesideReview
from appliance.session import Session, State
from appliance.session_navigation import add_trade_offs
from appliance.session_record import PLAN_FILES
from appliance.session_revising import VERSION_FILES, version_folder
from appliance.session_stages import Stages
from appliance.session_traded import NAVIGATION_FILE, NAVIGATION_JSON, navigation_from_bytes

from ..execution.navigation.sets import by_hand
from .conftest import PASSPHRASE, PHYSICIAN, Desk
from .test_revising import CORE, cooler

NOTHING = lambda *_: None  # noqa: E731


def making(desk: Desk, before=NOTHING, **changed: object) -> Stages:
    """The desk's stages with trade-offs made by hand, after `before` was called with the progress."""

    def trade_offs(reviewed, traded, progress, enough):
        before(progress)
        return replace(by_hand(), plan_digest=reviewed.plan.digest)

    return replace(desk.stages, **({"trade_offs": trade_offs} | changed))


def in_review(desk: Desk, stages: Stages) -> Session:
    session = desk.session(stages)
    session.run()
    assert session.state is State.IN_REVIEW
    return session


def test_they_are_recorded_and_found_again_after_a_restart(desk: Desk) -> None:
    session = in_review(desk, making(desk))
    assert add_trade_offs(session, NOTHING)
    again = desk.reopen()
    data = again.files.load(NAVIGATION_FILE)
    assert again.standing.artefacts[NAVIGATION_FILE] == hashlib.sha256(data).hexdigest()
    assert navigation_from_bytes(data).plan_digest == again.files.plan().digest
    assert json.loads(again.files.load(NAVIGATION_JSON))["schema"] == "couchside.navigation/1"
    assert again.state is State.IN_REVIEW


def test_what_was_altered_is_refused(desk: Desk) -> None:
    session = in_review(desk, making(desk))
    add_trade_offs(session, NOTHING)
    (session.files.folder / NAVIGATION_FILE).write_bytes(b"other")
    with pytest.raises(ArtefactAltered):
        session.files.load(NAVIGATION_FILE)


def test_a_session_that_has_moved_on_gets_nothing(desk: Desk) -> None:
    session = in_review(desk, making(desk, before=lambda _: session.reject("somebody", "no")))
    assert not add_trade_offs(session, NOTHING)
    assert not session.files.has(NAVIGATION_FILE)
    assert not (session.files.folder / NAVIGATION_FILE).exists()


def test_they_go_when_the_plan_is_made_anew(desk: Desk) -> None:
    session = in_review(desk, making(desk))
    add_trade_offs(session, NOTHING)
    session.standing._forget("finish revision", "planning")
    assert not session.files.has(NAVIGATION_FILE) and not session.files.has(NAVIGATION_JSON)


def test_the_node_makes_them_once_for_each_plan_in_review(desk: Desk) -> None:
    asked: list[int] = []
    session = in_review(desk, making(desk, before=lambda _: asked.append(1)))
    beside = BesideReview(lambda: False)
    for _ in range(3):
        beside.work([session])
    assert asked == [1] and session.files.has(NAVIGATION_FILE)


def test_the_node_leaves_off_at_once_when_a_session_wants_it_and_takes_it_up_again(desk: Desk) -> None:
    wanted = [True]
    session = in_review(desk, making(desk, before=lambda progress: progress("trade-offs", 0.5)))
    beside = BesideReview(lambda: wanted[0])
    beside.work([session])
    assert not session.files.has(NAVIGATION_FILE)
    wanted[0] = False
    beside.work([session])
    assert session.files.has(NAVIGATION_FILE)


@pytest.mark.parametrize("error", [PlanningError("no"), ValueError("a bug"), DiskFull("no room"), WriteFailed("no")])
def test_where_they_cannot_be_made_the_review_goes_on(desk: Desk, error: Exception) -> None:
    """And it is not tried again and again; nothing of it may end the node, which has other sessions."""
    tried: list[int] = []

    def fails(progress: object) -> None:
        tried.append(1)
        raise error

    session = in_review(desk, making(desk, before=fails))
    beside = BesideReview(lambda: False)
    for _ in range(2):
        beside.work([session])
    assert session.state is State.IN_REVIEW and not session.files.has(NAVIGATION_FILE)
    assert len(tried) == 1


def test_a_log_that_cannot_be_written_is_the_nodes_to_know(desk: Desk) -> None:
    def fails(progress: object) -> None:
        raise AuditError("the log is locked")

    session = in_review(desk, making(desk, before=fails))
    with pytest.raises(AuditError):
        BesideReview(lambda: False).work([session])


def test_plans_already_decided_on_are_left_alone(desk: Desk) -> None:
    session = in_review(desk, making(desk, before=lambda _: pytest.fail("not wanted")))
    session.reject("somebody", "no")
    BesideReview(lambda: False).work([session])


def test_the_report_in_review_shows_what_could_be_traded(desk: Desk) -> None:
    session = in_review(desk, making(desk))
    assert "What could be traded" not in session.files.load("report.html").decode()
    assert add_trade_offs(session, NOTHING)
    report = session.files.load("report.html").decode()
    assert "What could be traded" in report and "less Left Mean" in report
    assert not list(session.files.folder.glob(".*.part"))
    session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    assert session.state is State.EXPORTED
    assert "less Left Mean" in session.files.load("report.html").decode()


def test_what_could_be_traded_is_kept_with_its_version_and_comes_back_with_it(desk: Desk) -> None:
    session = in_review(desk, making(desk, revise=cooler))
    add_trade_offs(session, NOTHING)
    before = session.files.load(NAVIGATION_FILE)
    session.revise(PHYSICIAN, [CORE])
    session.run()
    assert not session.files.has(NAVIGATION_FILE)
    assert session.files.load(f"{version_folder(1)}/{NAVIGATION_FILE}") == before
    session.revise(PHYSICIAN, [Undo()])
    session.run()
    assert session.files.load(NAVIGATION_FILE) == before
    assert json.loads(session.files.load(NAVIGATION_JSON))["plan_digest"] == session.files.plan().digest
    assert "less Left Mean" in session.files.load("report.html").decode()


def test_all_that_goes_with_a_plan_is_kept_of_a_version() -> None:
    """What is forgotten when a plan is made anew would else be lost with the first edit. The independent dose and the
    rest of the judgement are in it; an approval and an export are of no plan in review."""
    assert {*PLAN_FILES, NAVIGATION_FILE, NAVIGATION_JSON} - {"approval.json", "report.html"} <= {*VERSION_FILES}


def test_a_report_that_a_crash_left_half_replaced_does_not_hold_up_a_revision(desk: Desk) -> None:
    session = in_review(desk, making(desk, revise=cooler))
    (session.files.folder / "report.html").write_text("replaced, and no row was written")
    session.revise(PHYSICIAN, [CORE])
    session.run()
    assert session.state is State.IN_REVIEW
    assert any("report of the version before revision 1 was not kept" in note for note in session.standing.notes)
