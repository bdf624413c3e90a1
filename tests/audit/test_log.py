"""What the writer promises: durable ordered rows, one writer, JSON only, nothing after a failure."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.audit import AuditLog, schema, verify
from appliance.audit.checkpoint import genesis_hash
from appliance.errors import AuditError, StoreBusy

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAME = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "audit.sqlite"


def test_a_row_is_the_sha256_of_its_canonical_json(path: Path) -> None:
    with AuditLog.open(path) as log:
        first = log.append(
            "session.opened", session_id="s1", data={"b": [1, 2.5, None, "ä\n"], "a": {"z": 1, "y": True}}
        )
        key = log.public_key
    fields = {
        "seq": 1,
        "time_utc": first.time_utc,
        "session_id": "s1",
        "actor": "system",
        "event": "session.opened",
        "data": {"a": {"y": True, "z": 1}, "b": [1, 2.5, None, "ä\n"]},
        "previous_hash": genesis_hash(key),
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert first.row_hash == hashlib.sha256(text.encode()).hexdigest()


def test_each_row_carries_the_hash_of_the_one_before(path: Path) -> None:
    with AuditLog.open(path) as log:
        written = [log.append("event", data={"n": n}) for n in range(5)]
    assert [row.seq for row in written] == [1, 2, 3, 4, 5]
    assert [row.previous_hash for row in written[1:]] == [row.row_hash for row in written[:-1]]
    assert list(AuditLog.read_only(path).rows()) == written


def test_rows_are_chosen_by_session_and_event(path: Path) -> None:
    with AuditLog.open(path) as log:
        for session_id, event in (("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")):
            log.append(event, session_id=session_id)
        assert [row.seq for row in log.rows(session_id="a")] == [1, 3, 4]
        assert [row.seq for row in log.rows(session_id="a", event="x")] == [1, 4]
        assert [row.seq for row in log.rows(event="x")] == [1, 2, 4]
        assert list(log.rows(session_id="a' OR '1'='1")) == []


def test_the_chain_goes_on_after_reopening(path: Path) -> None:
    with AuditLog.open(path) as log:
        before = log.append("one")
    with AuditLog.open(path) as log:
        after = log.append("two")
    assert after.seq == 2
    assert after.previous_hash == before.row_hash
    assert verify(path).ok


def test_a_second_writer_is_refused_until_the_first_has_closed(path: Path) -> None:
    log = AuditLog.open(path)
    with pytest.raises(StoreBusy):
        AuditLog.open(path)
    code = (
        "import sys; from pathlib import Path; from appliance.audit import AuditLog; AuditLog.open(Path(sys.argv[1]))"
    )
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "StoreBusy" in other.stderr
    log.close()
    log.close()
    AuditLog.open(path).close()


def test_threads_share_one_chain(path: Path) -> None:
    acknowledged: list[int] = []
    with AuditLog.open(path) as log:

        def work(name: str) -> None:
            for n in range(25):
                acknowledged.append(log.append("work", actor=name, data={"n": n}).seq)

        threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = list(log.rows())
    assert sorted(acknowledged) == list(range(1, 201))
    assert [row.data["n"] for row in rows if row.actor == "t3"] == list(range(25))
    assert verify(path).rows == 200


def test_a_reader_reads_while_the_writer_writes(path: Path) -> None:
    with AuditLog.open(path) as log:
        log.append("one")
        reader = AuditLog.read_only(path).rows()
        assert next(reader).event == "one"
        log.append("two")
        assert [row.event for row in reader] == []
        assert [row.event for row in AuditLog.read_only(path).rows()] == ["one", "two"]
        assert verify(path).rows == 2


def test_a_reader_cannot_write_and_a_missing_log_is_said(path: Path) -> None:
    with pytest.raises(AuditError, match="no audit log"):
        AuditLog.read_only(path)
    AuditLog.open(path).close()
    with pytest.raises(AuditError, match="reading only"):
        AuditLog.read_only(path).append("x")


def test_a_closed_log_refuses(path: Path) -> None:
    log = AuditLog.open(path)
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.append("x")


def test_files_are_for_the_owner_only(path: Path) -> None:
    old = os.umask(0)
    try:
        with AuditLog.open(path) as log:
            log.append("x")
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert set(modes) >= {
        "audit.sqlite",
        "audit.sqlite-wal",
        "audit.key",
        "audit.checkpoints.jsonl",
        "audit.sqlite.lock",
    }
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    "data",
    [
        {"a": float("nan")},
        {"a": [1, {"b": float("inf")}]},
        {"a": b"bytes"},
        {"a": (1, 2)},
        {"a": {1: "key"}},
        {"a": Path("x")},
        {"a": "\ud800"},
        {"a": 10**5000},
        {"a": "x" * (5 * 1024 * 1024)},
        ["no", "object"],
        "text",
    ],
    ids=[
        "nan",
        "infinity",
        "bytes",
        "tuple",
        "integer-key",
        "path",
        "surrogate",
        "long-integer",
        "large",
        "list",
        "text",
    ],
)
def test_data_that_is_not_json_is_refused_and_the_log_goes_on(path: Path, data: object) -> None:
    with AuditLog.open(path) as log:
        with pytest.raises(AuditError):
            log.append("x", data=data)  # type: ignore[arg-type]
        assert log.append("y").seq == 1


def test_a_refusal_names_the_key_but_never_the_value(path: Path) -> None:
    with AuditLog.open(path) as log, pytest.raises(AuditError, match=r"data\.who is of type bytes") as refusal:
        log.append("x", data={"who": b"Doe^Jane"})  # type: ignore[dict-item]
    assert "Doe" not in str(refusal.value)


def test_endless_nesting_is_refused(path: Path) -> None:
    endless: dict[str, object] = {}
    endless["a"] = endless
    with AuditLog.open(path) as log, pytest.raises(AuditError, match="nested"):
        log.append("x", data=endless)  # type: ignore[arg-type]


@pytest.mark.parametrize("event", ["", "two\nlines", "nul\0", "x" * 201, "\ud800"])
def test_event_names_are_printable(path: Path, event: str) -> None:
    with AuditLog.open(path) as log, pytest.raises(AuditError):
        log.append(event)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NAME, NAME, st.dictionaries(st.text(), JSON, max_size=4)), min_size=1, max_size=5))
def test_what_was_appended_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    path = tmp_path_factory.mktemp("property") / "audit.sqlite"
    with AuditLog.open(path) as log:
        written = [log.append(event, actor=actor, data=data) for event, actor, data in rows]
    read = list(AuditLog.read_only(path).rows())
    assert read == written
    assert [(row.event, row.actor, row.data) for row in read] == rows
    result = verify(path)
    assert (result.ok, result.rows, result.head_hash) == (True, len(rows), written[-1].row_hash)


def test_the_writers_own_connection_can_only_read_and_append(path: Path) -> None:
    AuditLog.open(path).close()
    connection = schema.connect_writer(path)
    schema.restrict(connection)
    for statement in (
        "UPDATE audit SET event = 'x'",
        "DELETE FROM audit",
        "DROP TRIGGER audit_update",
        "CREATE TABLE more (a)",
        "PRAGMA writable_schema = ON",
        "PRAGMA synchronous = OFF",
        "ATTACH ':memory:' AS other",
        "INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)",
    ):
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute(statement)
    assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)
    connection.close()


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    AuditLog.open(path).close()
    connection = schema.connect_writer(path)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_log_replaced_while_open_takes_no_more_rows(path: Path) -> None:
    log = AuditLog.open(path)
    log.append("one")
    path.rename(path.with_name("elsewhere.sqlite"))
    with pytest.raises(AuditError, match="moved or replaced"):
        log.append("two")
    path.with_name("elsewhere.sqlite").rename(path)
    with pytest.raises(AuditError):
        log.append("three")
    log.close()


def test_a_fork_cannot_write(path: Path) -> None:
    log = AuditLog.open(path)
    child = os.fork()
    if child == 0:
        try:
            log.append("from the child")
        except AuditError:
            os._exit(42)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert log.append("from the parent").seq == 1
    log.close()
