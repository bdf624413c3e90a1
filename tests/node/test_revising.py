"""A running node revises the plan in review when somebody on this machine asks, and the command shows what it did;
where no node runs, the command does it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from appliance.__main__ import main
from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.config import Config
from appliance.errors import RefusedEdit
from appliance.session import Session, next_state
from appliance.session_navigation import add_trade_offs
from appliance.session_record import EDITED, replay
from appliance.session_work import Workplace

from ..session.standin import stages_with
from ..session.test_revising import cooler
from ..session.test_trade import set_of_core
from .conftest import PHYSICIAN, House


def revise(house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    session = next(iter(AuditLog.read_only(house.store / "audit.sqlite").rows(event="session.opened"))).session_id
    monkeypatch.setattr(sys, "argv", ["couchside", "revise", session, *words, "--store", str(house.store), "--json"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return json.loads(said.out) if not end.value.code else json.loads(said.err.splitlines()[-1])


def test_the_node_revises_and_undoes_and_the_command_shows_each_goal(house: House, monkeypatch, capsys) -> None:
    with house.node(stages_with(revise=cooler)) as node:
        house.push(node)
        house.wait_for("in review")
        done = revise(house, monkeypatch, capsys, "--goal", "Core Mean <= 17 Gy", "--identity", PHYSICIAN)
        core = next(goal for goal in done["goals"] if goal["structure"] == "Core")
        assert (core["limit_before"], core["limit"]) == (18.0, 17.0)
        assert core["after"] < core["before"]
        assert done["edits"] == ["Core Mean <= 18 Gy -> Core Mean <= 17 Gy"]
        assert done["state"] == "in review"
        undone = revise(house, monkeypatch, capsys, "--undo")
        assert undone["plan_digest"] == done["plan_digest_before"]
        refused = revise(house, monkeypatch, capsys, "--protect", "Liver")
        assert (refused["key"], refused["exit_code"]) == (RefusedEdit.key, RefusedEdit.exit_code)
    rows = list(AuditLog.read_only(house.store / "audit.sqlite").rows(event=EDITED))
    assert rows[0].actor.startswith(f"{PHYSICIAN} (physician), told by uid ")
    assert [row.data["kind"] for row in rows] == ["change goal", "undo"]


def test_without_a_node_the_command_does_it(house: House, monkeypatch, capsys) -> None:
    with house.node() as node:
        house.push(node)
        house.wait_for("in review")
    monkeypatch.setattr("appliance.cli.revise.real_stages", stages_with(revise=cooler))
    done = revise(house, monkeypatch, capsys, "--priority", "Core Mean", "high")
    assert done["edits"] == ["Core Mean <= 18 Gy with priority 2 -> Core Mean <= 18 Gy with priority 1"]
    assert done["plan_digest"] != done["plan_digest_before"]


def test_what_cannot_be_read_is_refused(house: House, monkeypatch, capsys) -> None:
    with house.node() as node:
        house.push(node)
        house.wait_for("in review")
        for words, why in (
            (("--goal", "Core below 17"), "is no goal"),
            (("--goal", "Core Foo <= 17 Gy"), "not a known metric"),
            (("--priority", "Core Mean", "soon"), "is no priority"),
            ((), "nothing was asked for"),
            (("--undo", "--protect", "Core"), "stands alone"),
        ):
            refused = revise(house, monkeypatch, capsys, *words)
            assert refused["key"] == RefusedEdit.key
            assert why in refused["sentence"]


def test_the_plan_of_an_answer_of_navigation_becomes_the_sessions(house: House, monkeypatch, capsys) -> None:
    """As `revise` does: here without a node, and before anything is known it is refused."""
    with house.node() as node:
        house.push(node)
        house.wait_for("in review")
    make = stages_with(take_trade=lambda case, revision, before, _, progress: cooler(case, revision, before, progress))
    monkeypatch.setattr("appliance.cli.revise.real_stages", make)
    (name,) = [path.name for path in (house.store / "sessions").iterdir()]

    def navigate(*words: str) -> dict:
        told = ["couchside", "navigate", name, *words, "--store", str(house.store), "--json"]
        monkeypatch.setattr(sys, "argv", told)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return json.loads(said.out) if not end.value.code else json.loads(said.err.splitlines()[-1])

    asked = ("--goal", "Core Mean <= 7 Gy", "--realise")
    assert "not known yet" in navigate(*asked)["sentence"]
    with AuditLog.open(house.store / "audit.sqlite") as audit:
        standing = replay(audit.rows(), next_state)[name]
        stages = make(Config(), IdentityStore(house.store / "identities"))
        session = Session(standing, stages, Workplace(audit, house.store))
        session.stages = replace(session.stages, trade_offs=set_of_core)
        assert add_trade_offs(session, lambda *_: None)
    done = navigate(*asked)
    assert done["revision"]["edits"][0].endswith("Core Mean <= 7 Gy")
    assert done["revision"]["plan_digest"] != done["revision"]["plan_digest_before"] == done["plan_digest"]
    assert [one["structure"] for one in done["realised"]] == ["Core"]
