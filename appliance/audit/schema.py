"""The tables and triggers of the log, and who may do what on its connections.

Traps that the triggers close, each with a test: UPDATE and DELETE; INSERT OR REPLACE, which deletes the old row
without firing DELETE triggers unless recursive_triggers is on (so the INSERT trigger itself demands the next number
and the last hash); UPSERT; gaps. Whoever owns the file can still drop a trigger or write pages: the chain and the
signed checkpoints find that, and `verify` compares this schema text with the file's.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

SCHEMA_VERSION = 1

_ROWS = """CREATE TABLE audit (
  seq INTEGER PRIMARY KEY CHECK (seq >= 1),
  time_utc TEXT NOT NULL,
  session_id TEXT NOT NULL,
  actor TEXT NOT NULL,
  event TEXT NOT NULL,
  data TEXT NOT NULL,
  previous_hash TEXT NOT NULL CHECK (length(previous_hash) = 64),
  row_hash TEXT NOT NULL CHECK (length(row_hash) = 64)
) STRICT"""

_CHECKPOINTS = """CREATE TABLE checkpoint (
  count INTEGER PRIMARY KEY CHECK (count >= 0),
  head TEXT NOT NULL CHECK (length(head) = 64),
  time_utc TEXT NOT NULL,
  public_key TEXT NOT NULL CHECK (length(public_key) = 64),
  signature TEXT NOT NULL CHECK (length(signature) = 128)
) STRICT"""

_ROW_INSERT = """CREATE TRIGGER audit_insert BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
  OR NEW.previous_hash IS NOT coalesce(
    (SELECT row_hash FROM audit ORDER BY seq DESC LIMIT 1),
    (SELECT head FROM checkpoint WHERE count = 0))
BEGIN SELECT RAISE(ABORT, 'audit rows are appended one after the other'); END"""

_CHECKPOINT_INSERT = """CREATE TRIGGER checkpoint_insert BEFORE INSERT ON checkpoint
WHEN NEW.count IS NOT (SELECT coalesce(max(seq), 0) FROM audit)
  OR NEW.count <= (SELECT coalesce(max(count), -1) FROM checkpoint)
  OR (NEW.count > 0 AND NEW.head IS NOT (SELECT row_hash FROM audit ORDER BY seq DESC LIMIT 1))
BEGIN SELECT RAISE(ABORT, 'checkpoints are appended one after the other'); END"""

EXPECTED: dict[str, str] = {
    "audit": _ROWS,
    "checkpoint": _CHECKPOINTS,
    "audit_insert": _ROW_INSERT,
    "checkpoint_insert": _CHECKPOINT_INSERT,
    **{
        f"{table}_{verb.lower()}": (
            f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table}\n"
            f"BEGIN SELECT RAISE(ABORT, '{table} rows are never changed or removed'); END"
        )
        for table in ("audit", "checkpoint")
        for verb in ("UPDATE", "DELETE")
    },
}

INSERT_ROW = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_CHECKPOINT = "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?)"

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_FUNCTION}


def differences(connection: sqlite3.Connection) -> tuple[str, ...]:
    """What in the file's schema is not as created: missing, altered or additional tables, triggers, views, indices."""
    found = {str(name): str(sql) for name, sql in connection.execute("SELECT name, sql FROM sqlite_master")}
    wrong = [f"{name} is missing" for name in EXPECTED if name not in found]
    wrong += [f"{name} was altered" for name, sql in EXPECTED.items() if name in found and found[name] != sql]
    wrong += [f"{name} was added" for name in found if name not in EXPECTED]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        wrong.append(f"schema version {version} instead of {SCHEMA_VERSION}")
    return tuple(wrong)


def restrict(connection: sqlite3.Connection) -> None:
    """From here on the connection can read and append, nothing else: no UPDATE, DELETE, DDL, ATTACH, and no PRAGMA
    either, for PRAGMA writable_schema would open the back door."""

    def authorise(action: int, first: str | None, *_: str | None) -> int:
        appends = action == sqlite3.SQLITE_INSERT and first in ("audit", "checkpoint")
        return sqlite3.SQLITE_OK if appends or action in _ALLOWED else sqlite3.SQLITE_DENY

    connection.set_authorizer(authorise)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Write-ahead log and synchronous=FULL: one fsync a commit, and a commit is on the disk when it returns.

    Python's own transaction handling stays at its default because sqlite-utils asks for it. Raises sqlite3.Error.
    """
    connection = sqlite3.connect(path, check_same_thread=False, timeout=10.0)
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        connection.close()
        raise sqlite3.OperationalError(f"journal mode is {mode}, not wal")
    for pragma in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Read-only, also from a read-only medium (a write-ahead log cannot be attached there, so the file is taken as
    immutable if no log lies beside it). Raises sqlite3.Error."""
    on_read_only_medium = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    options = "mode=ro&immutable=1" if on_read_only_medium else "mode=ro"
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}", uri=True, check_same_thread=False, timeout=10.0
    )
    for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection
