"""What each command says and returns, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.builtin import CASES
from appliance.dicomio.files import software_version
from appliance.planning import machine_names

from .conftest import Ran

Run = Callable[..., Ran]


def test_version_goes_to_stdout(run: Run) -> None:
    ran = run("--version")
    assert (ran.code, ran.out) == (0, f"couchside {software_version()}\n")


def test_cases_lists_what_is_built_in(run: Run) -> None:
    listed = json.loads(run("cases", "--json").out)["cases"]
    assert [case["name"] for case in listed] == list(CASES)
    text = run("cases").out
    assert all(name in text for name in CASES)


def test_machines_are_listed_and_shown_with_their_sources(run: Run) -> None:
    listed = json.loads(run("machines", "list", "--json").out)["machines"]
    assert [machine["name"] for machine in listed] == list(machine_names())
    shown = json.loads(run("machines", "show", "dual_layer", "--json").out)
    figures = {row["figure"]: row for row in shown["figures"]}
    assert figures["mlc.lower_blocks"]["value"] == "28 × 10 from -140"
    assert figures["gantry.range_deg"]["unconfirmed"] is True
    assert all(row["source"] for row in shown["figures"])
    assert "? unconfirmed" in run("machines", "show", "dual_layer").out


@pytest.mark.parametrize(
    ("arguments", "code", "key"),
    [
        (("demo", "--case", "no-such-case", "--out", "OUT"), 4, "refused"),
        (("replan", "EMPTY", "--out", "OUT"), 4, "refused.incomplete"),
        (("replan", "EMPTY", "--out", "OUT", "--goals", "x.toml", "--site", "prostate"), 3, "config"),
        (("replan", "EMPTY", "--out", "FILE/below"), 11, "node.write"),
        (("serve", "--config", "MISSING"), 3, "config"),
        (("machines", "show", "no-such-machine"), 6, "model"),
        (("serve", "--config", "FILE"), 3, "config"),
        (("import-openkbp", "MISSING", "--out", "OUT"), 4, "refused.object"),
        (("dose", "MISSING", "--ct", "EMPTY", "--out", "OUT/x.dcm"), 4, "refused.object"),
        (("audit", "show", "--store", "EMPTY"), 9, "audit"),
        (("sessions", "--store", "EMPTY"), 9, "audit"),
        (("approve", "s", "--store", "EMPTY"), 11, "node"),
        (("reject", "s", "--reason", "r", "--store", "EMPTY"), 11, "node"),
        (("retry", "s", "--store", "MISSING"), 11, "node"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_what_goes_wrong_is_one_sentence_and_its_exit_code(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, key: str
) -> None:
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").write_text("no_such_key = 1\n")
    places = ("EMPTY", "FILE", "MISSING", "OUT", "FILE/below", "OUT/x.dcm")
    command = [str(tmp_path / part) if part in places else part for part in arguments]
    ran = run(*command, *(() if command[0] == "serve" else ("--json",)))
    said = ran.err.strip().splitlines()[-1]
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    if command[0] == "serve":
        assert said.startswith("couchside: ")
    else:
        told = json.loads(said)
        assert (told["key"], told["exit_code"], told["ok"]) == (key, code, False)
        assert told["sentence"]
        assert ran.out == ""


def test_a_mistake_in_the_command_is_2(run: Run) -> None:
    assert run("replan").code == 2
    assert run("no-such-command").code == 2
    assert run("demo", "--no-such-option").code == 2


def test_identity_is_registered_once_and_listed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    def add() -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO("a long enough passphrase\n"))
        return run("identity", "add", "Dr Test", "--passphrase-stdin", "--store", tmp_path, "--json")

    first = add()
    assert first.code == 0, first.err
    again = add()
    assert (again.code, json.loads(again.err)["key"]) == (7, "approval")
    listed = json.loads(run("identity", "list", "--store", tmp_path, "--json").out)["identities"]
    assert [(person["name"], person["role"], person["demo"]) for person in listed] == [("Dr Test", "physician", False)]
    assert [person.name for person in IdentityStore(tmp_path / "identities").list()] == ["Dr Test"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with AuditLog.open(tmp_path / "audit.sqlite") as audit:
        audit.append("session.opened", session_id="s-1", data={"patient_key": "k", "state": "waiting for image"})
        audit.append("object.refused", data={"rule": "x"})
    return tmp_path


def test_audit_shows_verifies_and_exports(run: Run, log: Path) -> None:
    rows = json.loads(run("audit", "show", "--store", log, "--json").out)["rows"]
    assert [row["event"] for row in rows] == ["session.opened", "object.refused"]
    own = json.loads(run("audit", "show", "--session", "s-1", "--store", log, "--json").out)["rows"]
    assert [row["event"] for row in own] == ["session.opened"]
    assert json.loads(run("audit", "verify", "--store", log, "--json").out)["ok"] is True
    exported = run("audit", "export", "--out", log / "log.jsonl", "--store", log)
    assert exported.code == 0
    assert json.loads((log / "log.jsonl").read_text().splitlines()[0])["verified"] is True


def test_a_damaged_log_is_9_and_names_the_row(run: Run, log: Path) -> None:
    data = (log / "audit.sqlite").read_bytes()
    (log / "audit.sqlite").write_bytes(data.replace(b'{"rule":"x"}', b'{"rule":"y"}'))
    ran = run("audit", "verify", "--store", log, "--json")
    assert ran.code == 9
    assert json.loads(ran.out)["first_bad_seq"] == 2


def test_sessions_are_read_from_the_log_where_no_node_runs(run: Run, log: Path) -> None:
    document = json.loads(run("sessions", "--store", log, "--json").out)
    assert document["running"] is False
    assert [(entry["session"], entry["state"]) for entry in document["sessions"]] == [("s-1", "waiting for image")]
    assert "waiting for image" in run("sessions", "s-1", "--store", log).out
    assert run("sessions", "s-2", "--store", log).code == 10


def test_doctor_reports_every_check(run: Run, tmp_path: Path) -> None:
    ran = run("doctor", "--store", tmp_path / "store", "--json")
    document = json.loads(ran.out)
    assert ran.code == (1 if document["status"] == "failed" else 0)
    keys = {check["key"] for check in document["checks"]}
    judging = {"retrieval", "guidelines", "preference", "network", "policy"}
    stages = {"hardware", "backends", "models", "networks", "prediction", "disk", "clock", "store", "peers"}
    assert stages | judging == keys


def test_an_internal_error_tells_where_but_not_what(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import appliance.cli.cases as module

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(module, "result", broken)
    ran = run("cases", "--json")
    assert ran.code == 1
    assert json.loads(ran.err)["key"] == "internal"
    assert "Doe" not in ran.err
