"""An attacker with the file and raw SQLite: what SQLite refuses, and what `verify` finds of the rest."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.audit import AuditLog, Checkpoint, log, schema, verify
from appliance.audit.checkpoint import append_side, genesis_hash, key_path, load_key, public_hex, side_path
from appliance.audit.row import row_digest
from appliance.errors import AuditError

ROWS = 25
EVERY = 10


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 rows, checkpoints at 0, 10, 20 and 25."""
    path = tmp_path_factory.mktemp("pristine") / "audit.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "CHECKPOINT_EVERY", EVERY)
        with AuditLog.open(path) as opened:
            for n in range(ROWS):
                opened.append("event", session_id="s", data={"n": n})
    return path


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine.parent, tmp_path / "copy")
    return tmp_path / "copy" / "audit.sqlite"


def raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def unprotected(path: Path, act: Callable[[sqlite3.Connection], None]) -> None:
    """Drops the triggers, acts, and puts the triggers back, as someone careful would."""
    connection = raw(path)
    triggers = {name: sql for name, sql in schema.EXPECTED.items() if sql.startswith("CREATE TRIGGER")}
    for name in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    act(connection)
    for sql in triggers.values():
        connection.execute(sql)
    connection.close()


def chain_anew(connection: sqlite3.Connection, first: int = 1) -> None:
    rows = connection.execute("SELECT * FROM audit WHERE seq >= ? ORDER BY seq", (first,)).fetchall()
    head = rows[0][6]
    for old in rows:
        row = (*old[:6], head, "")
        head = row_digest(row)
        connection.execute("UPDATE audit SET previous_hash = ?, row_hash = ? WHERE seq = ?", (row[6], head, row[0]))


FORGED = "(7, 't', 's', 'system', 'forged', '{}', '" + "0" * 64 + "', '" + "0" * 64 + "')"


@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET event = 'forged' WHERE seq = 7",
        "UPDATE OR REPLACE audit SET seq = 6 WHERE seq = 7",
        "DELETE FROM audit WHERE seq = 7",
        "DELETE FROM audit",
        f"INSERT OR REPLACE INTO audit VALUES {FORGED}",
        f"REPLACE INTO audit VALUES {FORGED}",
        f"INSERT OR IGNORE INTO audit VALUES {FORGED}",
        f"INSERT INTO audit VALUES {FORGED} ON CONFLICT (seq) DO UPDATE SET event = 'forged'",
        f"INSERT INTO audit VALUES {FORGED.replace('7', '27', 1)}",
        f"INSERT INTO audit VALUES {FORGED.replace('7', '26', 1)}",
        f"INSERT INTO audit VALUES {FORGED.replace('7', 'NULL', 1)}",
        "DELETE FROM checkpoint WHERE count = 20",
        "UPDATE checkpoint SET head = row_hash FROM audit WHERE seq = count",
        "INSERT OR REPLACE INTO checkpoint SELECT 20, head, time_utc, public_key, signature FROM checkpoint LIMIT 1",
        "INSERT INTO checkpoint SELECT 30, head, time_utc, public_key, signature FROM checkpoint WHERE count = 10",
    ],
)
def test_sqlite_itself_refuses(path: Path, statement: str, recursive_triggers: str) -> None:
    connection = raw(path)
    connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()
    result = verify(path)
    assert (result.ok, result.rows, result.signed_rows) == (True, ROWS, ROWS)


CONTINUED = "SELECT {seq}, time_utc, session_id, actor, 'forged', data, row_hash, row_hash FROM audit WHERE seq = 25"


@pytest.mark.parametrize("seq", ["7", "25", "27", "NULL"])
def test_the_right_hash_does_not_excuse_the_wrong_number(path: Path, seq: str) -> None:
    connection = raw(path)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT OR REPLACE INTO audit " + CONTINUED.format(seq=seq))
    connection.close()
    assert verify(path).ok


@pytest.mark.parametrize(
    "count_and_head",
    [
        "26, (SELECT row_hash FROM audit WHERE seq = 24)",
        "27, (SELECT row_hash FROM audit WHERE seq = 26)",
        "24, (SELECT row_hash FROM audit WHERE seq = 26)",
        "25, (SELECT row_hash FROM audit WHERE seq = 25)",
    ],
)
def test_a_checkpoint_is_of_the_last_row_or_refused(path: Path, count_and_head: str) -> None:
    connection = raw(path)
    connection.execute("INSERT INTO audit " + CONTINUED.format(seq=26))
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            f"INSERT OR REPLACE INTO checkpoint SELECT {count_and_head}, time_utc, public_key, signature "
            "FROM checkpoint WHERE count = 25"
        )
    connection.close()


def test_a_checkpoint_without_new_rows_is_refused(path: Path) -> None:
    connection = raw(path)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT OR REPLACE INTO checkpoint SELECT * FROM checkpoint WHERE count = 25")
    connection.close()


def changed(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE audit SET data = '{\"n\":99}' WHERE seq = 13")


def changed_and_hashed(connection: sqlite3.Connection) -> None:
    changed(connection)
    row = connection.execute("SELECT * FROM audit WHERE seq = 13").fetchone()
    connection.execute("UPDATE audit SET row_hash = ? WHERE seq = 13", (row_digest(row),))


def removed(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM audit WHERE seq = 13")


def removed_and_renumbered(connection: sqlite3.Connection) -> None:
    removed(connection)
    for seq in range(14, ROWS + 1):
        connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (seq - 1, seq))


def swapped(connection: sqlite3.Connection) -> None:
    for old, new in ((13, 99), (17, 13), (99, 17)):
        connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (new, old))


def inserted(connection: sqlite3.Connection) -> None:
    for seq in range(ROWS, 12, -1):
        connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (seq + 1, seq))
    connection.execute(
        "INSERT INTO audit SELECT 13, time_utc, session_id, actor, 'forged', data, row_hash, row_hash "
        "FROM audit WHERE seq = 12"
    )


@pytest.mark.parametrize("act", [changed, changed_and_hashed, removed, removed_and_renumbered, swapped, inserted])
def test_the_first_bad_row_is_named(path: Path, act: Callable[[sqlite3.Connection], None]) -> None:
    unprotected(path, act)
    result = verify(path)
    assert not result.ok
    assert result.first_bad_seq == 13
    assert "13" in result.reason


@pytest.mark.parametrize("keep", [24, 20, 12, 1, 0])
def test_a_cut_tail_is_found_by_the_signed_count(path: Path, keep: int) -> None:
    unprotected(path, lambda c: c.execute("DELETE FROM audit WHERE seq > ?", (keep,)))
    result = verify(path)
    assert (result.ok, result.first_bad_seq, result.rows) == (False, keep + 1, keep)
    assert "gone" in result.reason


def test_a_tail_cut_together_with_its_checkpoints_is_found_by_the_side_file(path: Path) -> None:
    def cut(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM audit WHERE seq > 12")
        connection.execute("DELETE FROM checkpoint WHERE count > 12")

    unprotected(path, cut)
    assert verify(path).first_bad_seq == 13
    with pytest.raises(AuditError, match="gone"):
        AuditLog.open(path)


def test_a_cut_of_everything_on_the_machine_is_found_by_the_copy_outside(path: Path, tmp_path: Path) -> None:
    outside = tmp_path / "printed.jsonl"
    shutil.copy(side_path(path), outside)

    def cut(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM audit WHERE seq > 10")
        connection.execute("DELETE FROM checkpoint WHERE count > 10")

    unprotected(path, cut)
    side_path(path).write_bytes(b"".join(side_path(path).read_bytes().splitlines(keepends=True)[:2]))
    assert verify(path).ok, "nothing left on the machine can show it"
    result = verify(path, anchor=outside)
    assert (result.ok, result.first_bad_seq) == (False, 11)


def test_a_chain_computed_anew_is_not_the_signed_one(path: Path) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        changed(connection)
        chain_anew(connection)

    unprotected(path, forge)
    result = verify(path)
    assert (result.ok, result.first_bad_seq, result.rows) == (False, 11, 10)
    assert "rows 11 to 20" in result.reason


def test_new_heads_in_the_checkpoints_need_the_key(path: Path) -> None:
    def forge(connection: sqlite3.Connection) -> None:
        changed(connection)
        chain_anew(connection)
        connection.execute(
            "UPDATE checkpoint SET head = (SELECT row_hash FROM audit WHERE seq = count) WHERE count > 0"
        )

    unprotected(path, forge)
    result = verify(path)
    assert (result.ok, result.first_bad_seq) == (False, 11)
    assert "valid signature" in result.reason


def forge_whole_log(path: Path) -> None:
    """Another key, a whole new consistent log in the place of the old one, side file and all."""
    key = Ed25519PrivateKey.generate()

    def forge(connection: sqlite3.Connection) -> None:
        changed(connection)
        connection.execute("UPDATE audit SET previous_hash = ? WHERE seq = 1", (genesis_hash(public_hex(key)),))
        chain_anew(connection)
        heads = dict(connection.execute("SELECT seq, row_hash FROM audit"))
        heads[0] = genesis_hash(public_hex(key))
        counts = [count for (count,) in connection.execute("SELECT count FROM checkpoint ORDER BY count")]
        connection.execute("DELETE FROM checkpoint")
        forged = tuple(Checkpoint.sign(key, count, heads[count], "2026-01-01T00:00:00Z") for count in counts)
        connection.executemany(schema.INSERT_CHECKPOINT, [log._columns(checkpoint) for checkpoint in forged])
        side_path(path).unlink()
        append_side(side_path(path), forged)

    unprotected(path, forge)


def test_a_log_forged_with_another_key_is_found_by_the_noted_key(path: Path) -> None:
    key = verify(path).public_key
    forge_whole_log(path)
    assert verify(path, public_key=key).first_bad_seq == 1
    with pytest.raises(AuditError, match="signature"):
        AuditLog.open(path)


def test_two_signed_histories_are_found(path: Path) -> None:
    other = Checkpoint.sign(load_key(key_path(path)), 20, "f" * 64, "2026-01-01T00:00:00Z")
    append_side(side_path(path), (other,))
    assert "two different histories were signed up to row 20" in verify(path).reason


@pytest.mark.parametrize("name", [n for n in schema.EXPECTED if n not in ("audit", "checkpoint")])
def test_a_missing_trigger_is_found(path: Path, name: str) -> None:
    connection = raw(path)
    connection.execute(f"DROP TRIGGER {name}")
    connection.close()
    result = verify(path)
    assert (result.ok, result.rows, result.first_bad_seq) == (False, ROWS, None)
    assert f"{name} is missing" in result.reason
    with pytest.raises(AuditError, match=name):
        AuditLog.open(path)


def test_an_altered_or_added_trigger_is_found(path: Path) -> None:
    connection = raw(path)
    connection.execute("DROP TRIGGER audit_update")
    connection.execute("CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN SELECT 1; END")
    connection.execute("CREATE VIEW rows AS SELECT * FROM audit")
    connection.close()
    assert "audit_update was altered, rows was added" in verify(path).reason


def test_a_missing_or_emptied_side_file_is_found(path: Path) -> None:
    side_path(path).write_bytes(b"")
    assert "lacks the checkpoint at row 0" in verify(path).reason
    side_path(path).write_bytes(b'{"count": 1}\n')
    assert "line 1" in verify(path).reason
    side_path(path).unlink()
    assert "side file of checkpoints is missing" in verify(path).reason
    with pytest.raises(AuditError, match="side file"):
        AuditLog.open(path)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_said_not_raised(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    result = verify(path)
    assert (result.ok, result.rows) == (False, 0)
    with pytest.raises(AuditError):
        AuditLog.open(path)


def test_a_log_that_does_not_verify_at_its_tail_cannot_be_opened(path: Path) -> None:
    unprotected(path, lambda c: c.execute("UPDATE audit SET event = 'x' WHERE seq = 25"))
    with pytest.raises(AuditError, match="evidence"):
        AuditLog.open(path)


def test_a_changed_row_is_not_given_out(path: Path) -> None:
    unprotected(path, changed)
    rows = AuditLog.read_only(path).rows()
    with pytest.raises(AuditError, match="row 13"):
        list(rows)


@settings(max_examples=80, deadline=None)
@given(
    seq=st.integers(1, ROWS),
    column=st.sampled_from(["time_utc", "session_id", "actor", "event", "data", "previous_hash", "row_hash"]),
    position=st.integers(0, 63),
)
def test_any_single_changed_character_is_found(pristine: Path, seq: int, column: str, position: int) -> None:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    source = raw(pristine)
    source.backup(memory)
    source.close()
    for table in ("audit", "checkpoint"):
        memory.execute(f"DROP TRIGGER {table}_update")
    (old,) = memory.execute(f"SELECT {column} FROM audit WHERE seq = ?", (seq,)).fetchone()
    at = position % len(old)
    new = old[:at] + ("x" if old[at] != "x" else "y") + old[at + 1 :]
    memory.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (new, seq))
    for table in ("audit", "checkpoint"):
        memory.execute(schema.EXPECTED[f"{table}_update"])
    from appliance.audit.verification import examine

    result = examine(memory, outside=())
    memory.close()
    assert (result.ok, result.first_bad_seq) == (False, seq)


def test_a_hundred_thousand_rows_verify_in_a_second(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    AuditLog.open(path).close()
    # Filled in one transaction through the real triggers: 100,000 commits would measure the disk.
    connection = raw(path)
    (head,) = connection.execute("SELECT head FROM checkpoint").fetchone()
    connection.execute("BEGIN")
    for seq in range(1, 100_001):
        row = (seq, "2026-01-01T00:00:00.000000Z", f"s{seq % 9}", "system", "object", f'{{"n":{seq}}}', head, "")
        head = row_digest(row)
        connection.execute(schema.INSERT_ROW, (*row[:7], head))
    connection.execute("COMMIT")
    connection.close()
    start = time.process_time()
    result = verify(path)
    assert (result.ok, result.rows) == (True, 100_000)
    assert time.process_time() - start < 1.5  # measured 0.6 to 0.9 s on shared cores; the slack is for a busy machine
