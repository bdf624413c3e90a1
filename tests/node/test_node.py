"""A whole node in this process, spoken to as its neighbours do: over DICOM and over its control socket."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from pathlib import Path

import pydicom
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import AuditLog, verify
from appliance.cli.demo_peer import same_objects
from appliance.dicomio.values import new_uid
from appliance.errors import ApprovalError, IllegalTransition, NodeError, SessionError, StoreBusy
from appliance.evaluation.guidelines.keys import key_file
from appliance.node import Node
from appliance.node.wire import SOCKET_NAME
from appliance.session_decisions import examples_from_sessions

from ..evaluation.clinic_package import write_package
from ..session.standin import slow_field, stages_with
from .conftest import PASSPHRASE, PHYSICIAN, House


def test_a_case_comes_in_and_an_approved_plan_goes_out(house: House) -> None:
    with house.node() as node:
        house.push(node)
        session = house.wait_for("in review")
        with pytest.raises(ApprovalError):
            house.ask("approve", session=str(session["session"]), identity=PHYSICIAN, passphrase="wrong passphrase")
        house.approve(session)
        house.wait_for("exported")
        sent = node.session(str(session["session"])).files.export_set().files
    assert same_objects(sent, house.store.parent / "peer")
    assert verify(house.store / "audit.sqlite").ok


def test_rows_come_in_the_order_of_cause_and_effect(house: House) -> None:
    with house.node() as node:
        house.push(node)
        house.approve(house.wait_for("in review"))
        house.wait_for("exported")
    rows = list(AuditLog.read_only(house.store / "audit.sqlite").rows())
    events = [row.event for row in rows]
    stored = [index for index, event in enumerate(events) if event == "object.stored"]
    assert len(stored) == len(house.small.files)
    states = {str(row.data["to"]): index for index, row in enumerate(rows) if row.event == "session.transition"}
    written = events.index("session.artefacts")
    assert max(stored) < states["assembling"] < states["in review"] < states["approved"] < states["exporting"]
    assert states["exporting"] < written < states["exported"]
    assert rows[states["approved"]].actor == f"{PHYSICIAN} (physician)"


def test_nothing_is_sent_of_a_rejected_plan(house: House) -> None:
    with house.node() as node:
        house.push(node)
        session = house.wait_for("in review")
        house.ask("reject", session=str(session["session"]), reason="the target is missed")
        house.wait_for("rejected")
        with pytest.raises(IllegalTransition):
            house.approve(session)
    assert not house.peer.names


def test_a_rejection_says_whose_it_is_and_is_learned_from(house: House) -> None:
    with house.node() as node:
        house.push(node)
        session = str(house.wait_for("in review")["session"])
        with pytest.raises(ApprovalError, match="registered"):
            house.ask("reject", session=session, reason="[other] too hot", identity="Dr Nobody")
        house.ask("reject", session=session, reason="[other] too hot", identity=PHYSICIAN)
        house.wait_for("rejected")
    last = list(AuditLog.read_only(house.store / "audit.sqlite").rows(event="session.transition"))[-1]
    assert last.actor == f"{PHYSICIAN} (physician), told by uid {os.getuid()}"
    found = examples_from_sessions(house.store, {})
    assert [(one.physician, one.reasons) for one in found.examples] == [(PHYSICIAN, ("other",))]
    assert found.strangers == ()


def test_a_peer_that_is_away_loses_nothing_and_retry_sends(house: House) -> None:
    house.peer.stop()
    with house.node() as node:
        house.push(node)
        session = house.wait_for("in review")
        house.approve(session)
        missed = house.wait_until(lambda: next((s for s in house.sessions() if s["why"]), None))
        assert missed["state"] == "approved"
        assert "was not exported" in str(missed["why"])
        with pytest.raises(IllegalTransition):
            house.ask("reject", session=str(session["session"]), reason="too late")
        again = house.wait_until(lambda: _peer_again(house))
        try:
            house.ask("retry", session=str(session["session"]))
            house.wait_for("exported")
        finally:
            again.stop()


def _peer_again(house: House) -> object:
    from pynetdicom import AE, evt

    entity = AE(ae_title="PEER")
    for kind in ("1.2.840.10008.1.1", *(f"1.2.840.10008.5.1.4.1.1.481.{n}" for n in (2, 3, 5))):
        entity.add_supported_context(kind)
    server = entity.start_server(
        ("127.0.0.1", house.peer.port), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)]
    )
    server.stop = server.shutdown
    return server


def test_objects_of_a_session_that_had_its_turn_do_not_start_another(house: House) -> None:
    with house.node() as node:
        house.push(node)
        first = house.wait_for("in review")
        house.push(node)  # the same bytes again
        time.sleep(1.0)
        assert [s["session"] for s in house.sessions()] == [first["session"]]


def _newer_structures(house: House, tmp_path: Path) -> Path:
    newer = pydicom.dcmread(house.small.files[-1])
    newer.SOPInstanceUID = newer.file_meta.MediaStorageSOPInstanceUID = new_uid()
    newer.StructureSetDate = newer.InstanceCreationDate = "29990101"
    newer.save_as(tmp_path / "newer.dcm")
    return tmp_path / "newer.dcm"


def test_a_newer_anatomy_supersedes_what_nobody_decided_on(house: House, tmp_path: Path) -> None:
    with house.node() as node:
        house.push(node)
        first = house.wait_for("in review")
        house.push(node, (_newer_structures(house, tmp_path),))
        house.wait_until(lambda: [s["state"] for s in house.sessions()] == ["stopped", "in review"])
        older, newer = house.sessions()
        assert older["session"] == first["session"]
        assert str(newer["session"]) in str(older["why"])
        with pytest.raises(IllegalTransition):
            house.approve(first)


def test_no_plan_is_approved_while_newer_objects_of_the_patient_settle(house: House, tmp_path: Path) -> None:
    with house.node(config=house.with_node(settle_s=1.5)) as node:
        house.push(node)
        first = house.wait_for("in review")
        house.push(node, (_newer_structures(house, tmp_path),))
        with pytest.raises(ApprovalError, match="newer objects"):
            house.approve(first)


def test_an_approved_session_is_not_superseded(house: House, tmp_path: Path) -> None:
    with house.node() as node:
        house.push(node)
        house.approve(house.wait_for("in review"))
        house.wait_for("exported")
        house.push(node, (_newer_structures(house, tmp_path),))
        house.wait_until(lambda: [s["state"] for s in house.sessions()] == ["exported", "in review"])


def test_a_set_that_is_not_whole_says_what_it_waits_for(house: House) -> None:
    with house.node() as node:
        house.push(node, house.small.files[:-1])
        waiting = house.wait_until(lambda: next((s for s in house.sessions() if s["held"]), None))
        assert (waiting["state"], waiting["held"]) == ("waiting for image", "no structure set has arrived")
        house.push(node, house.small.files[-1:])
        house.wait_for("in review")


def test_objects_that_came_just_before_the_end_are_found_again(house: House) -> None:
    with house.node(config=house.with_node(settle_s=3600.0)) as node:
        house.push(node)
        house.wait_for("waiting for image")
    with house.node():
        house.wait_for("in review")


def test_an_orderly_stop_gives_up_the_stage_and_the_next_start_runs_it_again(house: House) -> None:
    with house.node(stages_with(plan=slow_field(3600))) as node:
        house.push(node)
        house.wait_for("planning")
        began = time.monotonic()
    assert time.monotonic() - began < 10
    with house.node():
        session = house.wait_for("in review")
    rows = AuditLog.read_only(house.store / "audit.sqlite").rows(session_id=str(session["session"]))
    states = [row.data["to"] for row in rows if row.event == "session.transition"]
    assert states == ["assembling", "predicting", "planning", "evaluating", "in review"]


def test_stop_command_reaches_a_running_stage(house: House) -> None:
    with house.node(stages_with(plan=slow_field(3600))) as node:
        house.push(node)
        session = house.wait_for("planning")
        house.ask("stop", session=str(session["session"]), reason="the patient got up")
        assert house.wait_for("stopped")["why"] == "the patient got up"


def test_a_fault_in_a_stage_fails_its_session_and_no_other(house: House, tmp_path: Path) -> None:
    from ..session.small_case import write_small_case
    from ..session.standin import open_field

    broken = threading.Event()

    def once(*arguments: object) -> object:
        if not broken.is_set():
            broken.set()
            raise ZeroDivisionError("a bug")
        return open_field(*arguments)  # type: ignore[arg-type]

    other = write_small_case(tmp_path / "other", patient_id="SMALL-2")
    with house.node(stages_with(plan=once)) as node:
        house.push(node)
        failed = house.wait_for("failed")
        assert "ZeroDivisionError" in str(failed["why"])
        assert "a bug" not in str(failed["why"])
        house.push(node, other.files)
        house.wait_for("in review")


def test_too_little_disk_space_holds_the_session_and_loses_nothing(house: House) -> None:
    with house.node(config=house.with_node(settle_s=3600.0)) as node:
        house.push(node)
        house.wait_for("waiting for image")
    with house.node(config=house.with_node(minimum_free_mb=10**9)) as node:
        held = house.wait_until(lambda: next((s for s in house.sessions() if s["held"]), None))
        assert held["state"] == "assembling"
        assert "Too little disk space" in str(held["held"])
        with pytest.raises(NodeError):
            house.push(node)
    with house.node():
        house.wait_for("in review")


def test_a_second_node_on_the_store_is_refused(house: House) -> None:
    with house.node(), pytest.raises(StoreBusy, match="in use by another Couchside process"):
        Node(house.config, stages_with()).start()


def test_a_port_in_use_is_said_and_nothing_stays_locked(house: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(NodeError, match="port"):
            Node(house.with_port(other.getsockname()[1]), stages_with()).start()
    with house.node():
        assert house.sessions() == []


def test_the_control_socket_is_the_owners_alone(house: House) -> None:
    with house.node():
        mode = stat.S_IMODE(os.stat(house.store / SOCKET_NAME).st_mode)
        assert mode == 0o600
    assert not (house.store / SOCKET_NAME).exists()
    with pytest.raises(NodeError, match="no node is running"):
        house.ask("status")


def test_nonsense_on_the_control_socket_is_answered_or_dropped(house: House) -> None:
    with house.node():
        with pytest.raises(NodeError, match="does not know"):
            house.ask("make coffee", session=str(_any_session(house)))
        with pytest.raises(SessionError, match="no session"):
            house.ask("approve", session="nobody", identity="x", passphrase="y")
        for line in (b"not json\n", b"[1, 2]\n", b"\xff\xfe\n", b"{}"):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(str(house.store / SOCKET_NAME))
                raw.sendall(line)
                raw.shutdown(socket.SHUT_WR)
                raw.recv(4096)
        assert house.sessions() is not None


def _any_session(house: House) -> object:
    node_files = house.small.files[:1]
    from appliance.cli.demo_peer import push
    from appliance.contracts.progress import silent

    push(node_files, int(str(house.ask("status")["node"]["port"])), "COUCHSIDE", silent)  # type: ignore[index]
    return house.wait_for("waiting for image")["session"]


def test_guidelines_are_decided_on_while_the_node_runs(house: House, tmp_path: Path) -> None:
    """The node writes the audit log, so the command line asks it; what is active then holds for its next session."""
    key = Ed25519PrivateKey.generate()
    package, key_path = write_package(tmp_path / "clinic", key), tmp_path / "key.toml"
    key_path.write_bytes(key_file("Our clinic", key))
    person = {"person": PHYSICIAN, "passphrase": PASSPHRASE}
    with house.node():
        house.ask("guidelines", act="trust", path=str(key_path), **person)
        house.ask("guidelines", act="install", path=str(package))
        with pytest.raises(ApprovalError):
            house.ask(
                "guidelines", act="activate", name="clinic", version="1.0.0", person=PHYSICIAN, passphrase="guessed"
            )
        done = house.ask("guidelines", act="activate", name="clinic", version="1.0.0", **person)
    assert done["lines"][0].startswith("clinic 1.0.0 is active")  # type: ignore[index, union-attr]
    assert verify(house.store / "audit.sqlite").ok
