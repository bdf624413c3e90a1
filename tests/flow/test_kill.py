"""kill -9 of a real `couchside serve` in every state: it goes on where its log says it stood, to the same end."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE

from appliance.audit import AuditLog, verify
from appliance.cli.demo_peer import KINDS, SYNTAXES, ReceivingPeer, push, same_objects
from appliance.contracts import SECOND_DOSE_FILE
from appliance.contracts.export_set import RECORD_FILES
from appliance.contracts.progress import silent
from appliance.errors import NodeError

from ..session.small_case import SmallCase, write_small_case
from .served import PASSPHRASE, PHYSICIAN, Served

MOST_SESSIONS = 5
"""A state that lasts as long as one commit may be missed on a busy machine; another session then tries again."""

STATES = (
    "waiting for image",
    "assembling",
    "predicting",
    "planning",
    "evaluating",
    "in review",
    "approved",
    "exporting",
    "exported",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    return write_small_case(tmp_path_factory.mktemp("small") / "case")


@contextlib.contextmanager
def _house(folder: Path, small: SmallCase) -> Iterator[Served]:
    folder.mkdir()
    peer = ReceivingPeer(folder / "peer")
    made = Served.prepare(folder, small, "PEER", peer.port)
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()
        peer.stop()


@pytest.fixture
def served(tmp_path: Path, small: SmallCase) -> Iterator[Served]:
    with _house(tmp_path / "house", small) as made:
        yield made


@pytest.mark.slow
def test_killed_in_every_state_it_still_finishes(tmp_path: Path, small: SmallCase) -> None:
    missing = set(STATES)
    for attempt in range(MOST_SESSIONS):
        with _house(tmp_path / f"house{attempt}", small) as served:
            missing -= set(_die_and_finish(served, small, missing))
        if not missing:
            break
    assert not missing


def _die_and_finish(served: Served, small: SmallCase, wanted: set[str]) -> list[str]:
    """One session, killed in each wanted state it is caught in, to its end. Returns the states it died in."""
    served.start()
    push(small.files, served.port(), "COUCHSIDE", silent)
    for number, state in enumerate(STATES):
        if served.process is None:
            served.start()
        if state == "approved":
            served.wait(lambda: served.state() == "in review")
            served.port()
            approving = threading.Thread(target=_approve, args=(served,))
            approving.start()
            if state not in wanted or not served.kill_in(state, STATES[number + 1 :]):
                served.wait(lambda: served.state() in STATES[STATES.index("approved") :])
            approving.join(30)
        elif state in wanted:
            served.kill_in(state, STATES[number + 1 :])
    if served.process is None:
        served.start()
    served.wait(lambda: served.state() == "exported")
    served.port()
    assert served.end() == 0
    moves = [row["to"] for row in served.rows("session.transition")]
    assert moves == list(STATES[1:])  # no stage was recorded twice, none was left out
    _check_store(served, len(small.files))
    session = next((served.store / "sessions").iterdir())
    made, arrived = set((session / "export").glob("*.dcm")), served.store.parent / "peer"
    kept = {session / "export" / name for name in (SECOND_DOSE_FILE, *RECORD_FILES) if name.endswith(".dcm")}
    assert kept < made and not any((arrived / path.name).exists() for path in kept)
    assert same_objects(sorted(made - kept), arrived)
    return served.died_in


def _approve(served: Served) -> None:
    with contextlib.suppress(NodeError):  # it is killed before it can answer
        who = {"identity": PHYSICIAN, "passphrase": PASSPHRASE, "acknowledge": "a test"}
        served.ask("approve", session=served.session_id(), **who)


def _check_store(served: Served, objects: int) -> None:
    found = verify(served.store / "audit.sqlite")
    assert found.ok, found.reason
    stored = served.rows("object.stored")
    assert len(stored) == objects
    for row in stored:
        path = served.store / "objects" / f"{row['object']}.dcm"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
    assert not list((served.store / "incoming").iterdir())
    assert not list((served.store / "sessions").rglob("*.part"))


@pytest.mark.slow
def test_killed_while_receiving_it_keeps_all_that_it_acknowledged(served: Served, small: SmallCase) -> None:
    served.start()
    acknowledged = _store_until_killed(served, small, killed_after=6)
    assert len(acknowledged) >= 6
    served.start()
    push(small.files, served.port(), "COUCHSIDE", silent)
    served.wait(lambda: served.state() == "in review")
    assert served.end() == 0
    rows = list(AuditLog.read_only(served.store / "audit.sqlite").rows())
    stored = {str(row.data["object"]): row for row in rows if row.event == "object.stored"}
    assert len(stored) == len(small.files)
    again = sum(row.event == "object.duplicate" for row in rows)
    assert again >= len(acknowledged)  # what was acknowledged was still there when it came once more
    _check_store(served, len(small.files))


def _store_until_killed(served: Served, small: SmallCase, *, killed_after: int) -> list[Path]:
    entity = AE(ae_title="SENDER")
    for kind in KINDS:
        entity.add_requested_context(kind, SYNTAXES)
    association = entity.associate("127.0.0.1", served.port(), ae_title="COUCHSIDE")
    assert association.is_established
    acknowledged: list[Path] = []
    for number, path in enumerate(small.files):
        if number == killed_after:
            threading.Timer(0.005, served.end, args=(9,)).start()
        if not association.is_established:
            break
        with contextlib.suppress(RuntimeError, ValueError):
            if association.send_c_store(path).get("Status") == 0:
                acknowledged.append(path)
    association.abort()
    served.wait_dead()
    return acknowledged


def test_a_stop_in_the_middle_of_planning_is_orderly(served: Served, small: SmallCase) -> None:
    served.start()
    push(small.files, served.port(), "COUCHSIDE", silent)
    served.wait(lambda: served.state() == "planning")
    assert served.end() == 0
    assert served.state() == "planning"
    assert not (served.store / "control.sock").exists()
    assert verify(served.store / "audit.sqlite").ok
