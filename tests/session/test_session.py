"""A session from the objects to the export: artefact, then row, then state; and what becomes of every failure."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.audit import verify
from appliance.contracts import RECORD_FILES, ExportSet, Opponent, Planned, TradeOff
from appliance.errors import (
    ApprovalError,
    ArtefactAltered,
    AuditError,
    DiskFull,
    ExportError,
    IllegalTransition,
    PlanningError,
)
from appliance.session import Session, State
from appliance.session_artefacts import Artefacts
from appliance.session_record import replay

from .conftest import PASSPHRASE, PHYSICIAN, Desk
from .standin import open_field, slow_field


def reviewed(desk: Desk, **changed: object) -> Session:
    session = desk.session(replace(desk.stages, **changed) if changed else None)  # type: ignore[arg-type]
    session.run()
    assert session.state is State.IN_REVIEW, session.standing.facts
    return session


def test_the_flow_leaves_every_artefact_with_its_hash_in_the_log(desk: Desk) -> None:
    session = reviewed(desk)
    session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    assert session.state is State.EXPORTED
    assert desk.states() == [
        "assembling",
        "predicting",
        "planning",
        "evaluating",
        "in review",
        "approved",
        "exporting",
        "exported",
    ]
    folder = desk.store / "sessions" / "s-1"
    for name, sha256 in session.standing.artefacts.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, name
    made = {path.name for path in folder.iterdir()} - {"export"}
    assert made == {
        "received.json",
        "goals.toml",
        "plan.json",
        "trade-offs.json",
        "dose.npz",
        "evaluation.json",
        "scorecard.json",
        "report.html",
        "approval.json",
        "export.json",
        "timeline.json",
    }
    assert [path.name for path in desk.sent[0]] == ["RP.dcm", "RD.dcm", "RS.dcm"]
    assert verify(desk.store / "audit.sqlite").ok


def test_what_is_exported_is_prescribed_as_the_goals_say(desk: Desk) -> None:
    session = reviewed(desk)
    session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    plan = pydicom.dcmread(desk.sent[0][0])
    assert plan.ApprovalStatus == "APPROVED"
    assert plan.FractionGroupSequence[0].NumberOfFractionsPlanned == 5
    assert [float(item.TargetPrescriptionDose) for item in plan.DoseReferenceSequence] == [20.0]


def test_the_timeline_adds_up_from_the_log(desk: Desk) -> None:
    session = reviewed(desk)
    timeline = json.loads((session.files.folder / "timeline.json").read_bytes())
    assert timeline["schema"] == "couchside.timeline/1"
    assert [entry["stage"] for entry in timeline["stages"]] == [
        "waiting for image",
        "assembling",
        "predicting",
        "planning",
        "evaluating",
        "in review",
    ]
    machine = [entry["seconds"] for entry in timeline["stages"] if entry["by"] == "machine"]
    assert timeline["machine_s"] == pytest.approx(sum(machine), abs=2e-3)
    planning = next(entry for entry in timeline["stages"] if entry["stage"] == "planning")
    assert set(planning["steps"]) == {"open field"}
    assert timeline["last_object_to_export_s"] is None


def test_whoever_sees_a_state_finds_its_timeline_and_its_facts(desk: Desk) -> None:
    """A slow disk between row and timeline, and somebody who looks all the time."""

    class SlowDisk(Artefacts):
        def save(self, name: str, data: bytes) -> dict[str, str]:
            if name == "timeline.json":
                time.sleep(0.05)
            return super().save(name, data)

    session = desk.session()
    session.files = SlowDisk(session.files.folder, desk.store, lambda: session.standing.artefacts)
    seen: dict[str, str] = {}
    facts: list[bool] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            standing = session.standing
            if standing.state not in seen:
                seen[standing.state] = json.loads((session.files.folder / "timeline.json").read_bytes())["state"]
            if standing.state == State.IN_REVIEW:
                facts.append("second_check_agrees" in standing.facts)
            time.sleep(0.002)

    looking = threading.Thread(target=look)
    looking.start()
    session.run()
    session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    time.sleep(0.02)
    over.set()
    looking.join()
    assert State.EXPORTED in seen
    assert facts
    assert all(facts)
    assert [(state, told) for state, told in seen.items() if state != told] == []


def test_no_patient_in_the_log(desk: Desk) -> None:
    session = reviewed(desk)
    session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    said = json.dumps([row.data for row in desk.rows()])
    objects = [pydicom.dcmread(path, stop_before_pixels=True) for path in (*desk.small.files, *desk.sent[0])]
    secrets = {"SMALL-1", "Small", *(str(dataset.SOPInstanceUID) for dataset in objects)}
    assert not [secret for secret in secrets if secret in said]


@pytest.mark.parametrize("state", [State.ASSEMBLING, State.PREDICTING, State.PLANNING, State.EVALUATING])
def test_a_session_is_rebuilt_where_its_last_row_says(desk: Desk, state: State) -> None:
    """A full disk just before each stage leaves the session there; after a reopening it goes on and ends the same."""
    session = desk.session()
    original = dict(session._stage_of)

    def full() -> None:
        raise DiskFull("no room")

    session._stage_of = original | {state: full}  # type: ignore[dict-item]
    with pytest.raises(DiskFull):
        session.run()
    assert session.state is state
    again = desk.reopen()
    assert again.state is state
    again.run()
    assert again.state is State.IN_REVIEW
    assert desk.states().count(state) == 1


def test_what_the_planner_noted_is_judged_with_the_plan_after_a_restart(desk: Desk) -> None:
    """Killed between planning and evaluation, the session is evaluated as if it had not been."""
    note = "PTV D95% is missed because of dose-volume limit of Core"

    def noting(*arguments: object) -> Planned:
        return replace(open_field(*arguments), notes=(note,))  # type: ignore[arg-type]

    def full(*_: object) -> None:
        raise DiskFull("no room")

    session = desk.session(replace(desk.stages, plan=noting, check_plan=full))  # type: ignore[arg-type]
    with pytest.raises(DiskFull):
        session.run()
    assert session.state is State.EVALUATING
    again = desk.reopen()
    again.run()
    assert again.files.evaluation().notes[-1] == note
    assert note in json.loads((again.files.folder / "scorecard.json").read_bytes())["notes"]
    assert note in (again.files.folder / "report.html").read_text("utf-8")


def test_an_approval_holds_after_a_restart_and_the_same_files_are_sent_again(desk: Desk) -> None:
    def unreachable(export_set: ExportSet, _: object) -> tuple[str, ...]:
        raise ExportError("the peer does not answer")

    session = reviewed(desk, send=unreachable)
    session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    assert session.state is State.APPROVED
    assert "does not answer" in str(session.standing.facts["why"])
    before = {path.name: path.read_bytes() for path in session.files.export_set().files}
    beside = {path.name for path in (session.files.folder / "export").iterdir()} - set(before)
    again = desk.reopen()
    again.retry("uid 0")
    again.run()
    assert again.state is State.EXPORTED
    assert "why" not in again.standing.facts
    assert {path.name: path.read_bytes() for path in desk.sent[0]} == before
    assert beside == set(RECORD_FILES)


def test_a_wrong_passphrase_is_refused_and_recorded(desk: Desk) -> None:
    session = reviewed(desk)
    with pytest.raises(ApprovalError):
        session.approve(PHYSICIAN, "not the passphrase")
    assert session.state is State.IN_REVIEW
    refused = desk.rows("approval.refused")
    assert [row.data["identity"] for row in refused] == [PHYSICIAN]
    assert "not the passphrase" not in json.dumps(refused[0].data)


@pytest.mark.parametrize("name", ["plan.json", "dose.npz", "evaluation.json"])
def test_what_was_altered_on_disk_cannot_be_approved(desk: Desk, name: str) -> None:
    session = reviewed(desk)
    path = session.files.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtefactAltered, match=name.replace(".", r"\.")):
        session.approve(PHYSICIAN, PASSPHRASE)
    assert session.state is State.FAILED
    session.run()
    assert not desk.sent
    session.retry("uid 0")
    session.run()
    assert session.state is State.IN_REVIEW


def test_what_was_altered_after_approval_is_never_sent(desk: Desk) -> None:
    session = reviewed(desk)
    session.approve(PHYSICIAN, PASSPHRASE)
    (session.files.folder / "plan.json").write_bytes(b"{}")
    session.run()
    assert session.state is State.FAILED
    assert session.standing.facts["key"] == "session.artefact"
    assert not desk.sent


def test_an_approval_of_another_plan_is_never_exported(desk: Desk) -> None:
    """The session is planned again by hand after the approval: what was signed is not what is there."""
    session = reviewed(desk)
    approval = session.approve(PHYSICIAN, PASSPHRASE)
    other = replace(approval, shown=replace(approval.shown, plan_digest="0" * 64))
    session.standing.artefacts.update(session.files.save("approval.json", other.to_json()))
    session.run()
    assert session.state is State.FAILED
    assert session.standing.facts["key"] in ("approval", "export.not_approved")
    assert not desk.sent


def test_nothing_but_a_plan_in_review_can_be_approved(desk: Desk) -> None:
    session = desk.session()
    with pytest.raises(IllegalTransition):
        session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    session.reject("uid 0", "the target is missed")
    with pytest.raises(IllegalTransition):
        session.approve(PHYSICIAN, PASSPHRASE)
    assert session.state is State.REJECTED
    assert desk.reopen().standing.facts["why"] == "the target is missed"


def test_a_planning_error_fails_the_session_in_its_own_words_and_retry_starts_over(desk: Desk) -> None:
    def hopeless(*_: object) -> None:
        raise PlanningError("no beam reaches the target")

    session = desk.session(replace(desk.stages, plan=hopeless))  # type: ignore[arg-type]
    session.run()
    assert session.state is State.FAILED
    assert session.standing.facts["why"] == "No deliverable plan could be made: no beam reaches the target"
    again = desk.reopen()
    again.retry("uid 0")
    again.run()
    assert again.state is State.IN_REVIEW
    assert "why" not in again.standing.facts


def test_a_report_that_cannot_be_made_fails_the_session_before_review(desk: Desk) -> None:
    def refuse(*_: object) -> None:
        raise ExportError("the report cannot be drawn")

    session = desk.session(replace(desk.stages, write_report=refuse))  # type: ignore[arg-type]
    session.run()
    assert session.state is State.FAILED
    assert session.standing.facts["key"] == "export"


def test_a_plan_beyond_the_machine_is_never_offered_for_review(desk: Desk) -> None:
    facts = desk.stages.check_plan

    def broken(plan: object) -> object:
        return replace(facts(plan), deliverable=False, violations=("beam 1: jaw x1 is outside",))  # type: ignore[arg-type]

    session = desk.session(replace(desk.stages, check_plan=broken))  # type: ignore[arg-type]
    session.run()
    assert session.state is State.FAILED
    assert session.standing.facts["key"] == "planning.machine_limit"


def test_stop_ends_a_running_stage(desk: Desk) -> None:
    session = desk.session(replace(desk.stages, plan=slow_field(60)))

    def stop_when_planning(step: str, fraction: float, /) -> None:
        if session._stop is None:
            session.stop("uid 0", "the patient coughed")

    session._work = replace(session._work, progress=stop_when_planning)
    session.run()
    assert session.state is State.STOPPED
    row = desk.rows("session.transition")[-1]
    assert (row.actor, row.data["facts"]["why"]) == ("uid 0", "the patient coughed")


def test_a_row_that_does_not_follow_is_not_believed(desk: Desk) -> None:
    session = desk.session()
    data = {"event": "approve", "from": "assembling", "to": "approved", "artefacts": {}, "facts": {}, "steps": {}}
    desk.audit.append("session.transition", session_id=session.id, data=data)
    with pytest.raises((AuditError, IllegalTransition)):
        replay(desk.audit.rows(), lambda state, event: "approved")
    with pytest.raises(IllegalTransition):
        desk.reopen()


def test_the_dose_comes_back_from_disk_to_the_bit(desk: Desk) -> None:
    session = reviewed(desk)
    dose = session.files.dose()
    with np.load(session.files.folder / "dose.npz") as stored:
        assert stored["dose_gy"].dtype == np.float32
    assert dose.digest == session.standing.facts["dose_digest"]


def test_nothing_outside_the_session_folder_is_written(desk: Desk, tmp_path: Path) -> None:
    reviewed(desk)
    assert {path.name for path in tmp_path.iterdir()} == {"store"}
    assert {path.name for path in desk.store.iterdir() if not path.name.startswith("audit")} == {
        "sessions",
        "identities",
    }


def test_what_gave_way_for_what_is_on_the_scorecard(desk: Desk) -> None:
    """An empty file replaces what an earlier try said."""
    found = TradeOff("PTV", "D95%", ">=", 50.0, "Gy", (Opponent("", "hot spots", -0.5, 1.0),), True, "said")
    session = reviewed(desk, plan=lambda *given: replace(open_field(*given), trade_offs=(found,)))
    assert session.files.evaluation().trade_offs == (found,)
    card = json.loads(session.files.load("scorecard.json"))
    assert card["trade_offs"][0]["against"] == [{"goal": "", "words": "hot spots", "cosine": -0.5, "strength": 1.0}]
    assert session.files.save_trade_offs(()).keys() == {"trade-offs.json"}
