"""A disk that is really full: a small file system of its own, filled to the last byte while a plan is being made."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.approval import IdentityStore
from appliance.audit import verify
from appliance.errors import AuditError, NodeError
from appliance.node import runner

from ..session.standin import open_field, stages_with
from .conftest import PASSPHRASE, PHYSICIAN, House


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    block = b"\0" * 65536
    with path.open("wb", buffering=0) as file:
        while block:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]


def test_a_full_disk_holds_the_session_until_there_is_room(
    house: House, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "HELD_RETRY_S", 0.5)
    planning, filled = threading.Event(), threading.Event()

    def plan(*arguments: object) -> object:
        planning.set()
        assert filled.wait(30)
        return open_field(*arguments)  # type: ignore[arg-type]

    house.store = small_disk / "store"
    IdentityStore(house.store / "identities", scrypt_n=2**14).create(PHYSICIAN, "physician", PASSPHRASE)
    config = house.with_node(store=house.store, minimum_free_mb=0)
    with house.node(stages_with(plan=plan), config) as node:
        house.push(node)
        assert planning.wait(30)
        fill(small_disk / "filler")
        filled.set()
        held = house.wait_until(lambda: next((s for s in house.sessions() if s["held"]), None))
        assert held["state"] == "planning"
        assert "Too little disk space" in str(held["held"])
        assert not list((house.store / "sessions" / str(held["session"])).glob("plan.json"))
        (small_disk / "filler").unlink()
        session = house.wait_for("in review")
        assert not session["held"]
        house.approve(session)
        house.wait_for("exported")
    assert verify(house.store / "audit.sqlite").ok


def test_without_its_log_the_node_ends_in_words(house: House) -> None:
    with house.node() as node:
        house.push(node)
        session = house.wait_for("in review")
        log = house.store / "audit.sqlite"
        log.rename(log.with_suffix(".moved"))
        with pytest.raises(AuditError):
            house.ask("reject", session=str(session["session"]), reason="no")
        assert node.ended.wait(5)
        assert isinstance(node.failure, AuditError)
        assert house.sessions()[0]["state"] == "in review"
        log.with_suffix(".moved").rename(log)
    with house.node():
        assert house.wait_for("in review")["session"] == session["session"]


def test_a_log_that_is_lost_while_nothing_happens_is_noticed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LONGEST_WAIT_S", 0.2)
    with house.node() as node:
        (house.store / "audit.sqlite").rename(house.store / "audit.moved")
        with pytest.raises(NodeError):
            house.push(node)
        assert node.ended.wait(5)
        assert isinstance(node.failure, AuditError)
        (house.store / "audit.moved").rename(house.store / "audit.sqlite")


def test_the_newest_rows_are_signed_once_the_node_is_idle(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LONGEST_WAIT_S", 0.2)
    with house.node() as node:
        house.push(node)
        house.wait_for("in review")

        def all_signed() -> bool:
            found = verify(house.store / "audit.sqlite")
            return found.ok and found.signed_rows == found.rows

        house.wait_until(all_signed, 5)
