"""The one writer of the log, and readers beside it.

A row is on the disk when `append` returns: SQLite in write-ahead mode with synchronous=FULL, one commit a row, the
signed checkpoint of every CHECKPOINT_EVERY-th row in the same commit. After any disk or database error the log
refuses everything until it is opened anew (which checks its tail): the state of a file after a failed fsync is not
known, and work without a record must not go on.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import JsonValue
from sqlite_utils import Database

from appliance.audit import schema
from appliance.audit.checkpoint import (
    Checkpoint,
    append_side,
    create_key,
    genesis_hash,
    key_path,
    load_key,
    public_hex,
    read_side,
    side_path,
)
from appliance.audit.row import AuditRow, canonical_data, demand_name, row_digest
from appliance.audit.verification import examine
from appliance.dicomio.files import sync_folder
from appliance.errors import AuditError, CouchsideError, StoreBusy

CHECKPOINT_EVERY = 100
"""Rows between checkpoints. Chosen, because a session writes a few hundred rows, and one signature (0.1 ms) and one
more fsync in 100 rows cost nothing that can be felt."""


class AuditLog:
    """Made by `open` (the one writer) or `read_only`. Safe to use from several threads, not across a fork."""

    def __init__(self, path: Path, writer: _Writer | None) -> None:
        self.path = path
        self._writer = writer

    @staticmethod
    def open(path: Path) -> AuditLog:
        """Opens or creates the log and holds its lock until `close`, also against a second opener in this process.

        Raises StoreBusy if another writer holds it; AuditError if the disk refuses, the key is lost, or the rows
        since the last checkpoint are not as they were written.
        """
        return AuditLog(path, _Writer(path))

    @staticmethod
    def read_only(path: Path) -> AuditLog:
        """Rows can be read, also while another process writes. Raises AuditError if there is no log."""
        if not path.is_file():
            raise AuditError(f"there is no audit log at {path}")
        return AuditLog(path, None)

    def append(
        self, event: str, *, session_id: str = "", actor: str = "system", data: Mapping[str, JsonValue] | None = None
    ) -> AuditRow:
        """Durable when it returns. Raises AuditError: nothing was written if the event, actor, session or data are
        not acceptable; after any other AuditError the log refuses further rows."""
        if self._writer is None:
            raise AuditError("it was opened for reading only")
        return self._writer.append(
            demand_name(session_id, "session", empty_allowed=True),
            demand_name(actor, "actor"),
            demand_name(event, "event"),
            canonical_data({} if data is None else data, event),
        )

    def checkpoint(self) -> None:
        """Signs the state now, so that even the last rows cannot be cut off unseen. No new row: does nothing."""
        if self._writer is None:
            raise AuditError("it was opened for reading only")
        self._writer.checkpoint()

    def rows(self, *, session_id: str | None = None, event: str | None = None) -> Iterator[AuditRow]:
        """Rows in order, as they are when the iteration starts. Each is checked against its own hash; the chain is
        not (see `verify`). Raises AuditError. There is no index: the filter reads every row."""
        wanted = {"session_id": session_id, "event": event}
        where = " AND ".join(f"{column} = :{column}" for column, value in wanted.items() if value is not None)
        query = f"SELECT * FROM audit {'WHERE ' + where if where else ''} ORDER BY seq"
        try:
            with closing(schema.connect_reader(self.path)) as connection:
                for stored in connection.execute(query, {k: v for k, v in wanted.items() if v is not None}):
                    yield AuditRow.from_stored(stored)
        except sqlite3.Error as error:
            raise AuditError(f"it cannot be read ({error}); run 'couchside audit verify'") from error

    @property
    def public_key(self) -> str:
        """Hex of the key that signs the checkpoints; note it down outside. '' for a reader."""
        return "" if self._writer is None else self._writer.public_key

    def close(self) -> None:
        """Signs a last checkpoint and lets the lock go. Harmless twice. Raises AuditError if the disk refuses."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Writer:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._broken = ""
        self._process = os.getpid()
        self._lock: int | None = None
        self._database: Database | None = None
        self._count, self._head, self._signed = 0, "", 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _take_lock(path)
            self._key = self._open_key()
            self.public_key = public_hex(self._key)
            self._database = self._open_database()
            self._inode = path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            self._release()
            raise AuditError(f"{path} cannot be opened ({_cause(error)})") from error
        except CouchsideError:
            self._release()
            raise

    def append(self, session_id: str, actor: str, event: str, text: str) -> AuditRow:
        with self._mutex:
            database = self._usable()
            seq, time_utc = self._count + 1, _now()
            unhashed = (seq, time_utc, session_id, actor, event, text, self._head, "")
            row_hash = row_digest(unhashed)
            due = self._sign(seq, row_hash) if seq % CHECKPOINT_EVERY == 0 else None
            try:
                with database.atomic():
                    database.conn.execute(schema.INSERT_ROW, (*unhashed[:7], row_hash))
                    if due is not None:
                        database.conn.execute(schema.INSERT_CHECKPOINT, _columns(due))
                previous, self._count, self._head = self._head, seq, row_hash
                if due is not None:
                    self._signed = seq
                    append_side(side_path(self._path), (due,))
            except (sqlite3.Error, OSError) as error:
                self._broken = f"a row could not be written ({_cause(error)})"
                raise AuditError(self._broken) from error
            return AuditRow(seq, time_utc, session_id, actor, event, json.loads(text), previous, row_hash)

    def checkpoint(self) -> None:
        with self._mutex:
            self._checkpoint(self._usable())

    def close(self) -> None:
        with self._mutex:
            if self._database is None:
                return
            try:
                if not self._broken and os.getpid() == self._process:
                    self._checkpoint(self._usable())
            finally:
                self._release()

    def _checkpoint(self, database: Database) -> None:
        if self._signed == self._count:
            return
        due = self._sign(self._count, self._head)
        try:
            with database.atomic():
                database.conn.execute(schema.INSERT_CHECKPOINT, _columns(due))
            self._signed = due.count
            append_side(side_path(self._path), (due,))
        except (sqlite3.Error, OSError) as error:
            self._broken = f"a checkpoint could not be written ({_cause(error)})"
            raise AuditError(self._broken) from error

    def _usable(self) -> Database:
        """The database, if a row written now would surely be found again."""
        if self._database is None:
            raise AuditError("it was closed")
        if self._broken:
            raise AuditError(f"{self._broken}; free or repair the disk, then restart")
        if os.getpid() != self._process:
            raise AuditError("it belongs to the process that opened it")
        try:
            moved = self._path.stat().st_ino != self._inode
        except OSError:
            moved = True
        if moved:
            self._broken = f"{self._path.name} was moved or replaced while it was in use"
            raise AuditError(self._broken)
        return self._database

    def _sign(self, count: int, head: str) -> Checkpoint:
        return Checkpoint.sign(self._key, count, head, _now())

    def _open_key(self) -> Ed25519PrivateKey:
        """The log's key; a new one only where there is neither a log nor a trace of one."""
        key_file, side = key_path(self._path), side_path(self._path)
        started = side.exists() and side.stat().st_size > 0
        has_rows = self._path.exists() and self._path.stat().st_size > 0
        if started and not has_rows:
            raise AuditError(f"{self._path.name} is gone but its checkpoints are there; restore it from a copy")
        return load_key(key_file) if key_file.exists() or has_rows else create_key(key_file)

    def _open_database(self) -> Database:
        if not self._path.exists():
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            sync_folder(self._path.parent)
        database = Database(schema.connect_writer(self._path), recursive_triggers=True, execute_plugins=False)
        try:
            if database.conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                self._create(database)
            self._resume(database)
            schema.restrict(database.conn)
        except (sqlite3.Error, OSError, CouchsideError):
            database.conn.close()
            raise
        return database

    def _create(self, database: Database) -> None:
        append_side(side_path(self._path), ())
        first = self._sign(0, genesis_hash(self.public_key))
        with database.atomic():
            for statement in schema.EXPECTED.values():
                database.conn.execute(statement)
            database.conn.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
            database.conn.execute(schema.INSERT_CHECKPOINT, _columns(first))

    def _resume(self, database: Database) -> None:
        """Checks the tail, and brings the side file up to date where a crash kept a checkpoint from it."""
        side = side_path(self._path)
        if not side.exists():
            raise AuditError(f"its side file {side.name} is missing; restore it from a copy")
        noted = read_side(side)
        found = examine(database.conn, outside=noted[-1:], public_key=self.public_key, tail_only=True)
        if not found.ok:
            raise AuditError(f"{found.reason}. Keep the files as evidence, then start with a new or restored log")
        after = noted[-1].count if noted else -1
        query = "SELECT count, head, time_utc, public_key, signature FROM checkpoint WHERE count > ? ORDER BY count"
        lacking = tuple(Checkpoint(*row) for row in database.conn.execute(query, (after,)))
        if lacking:
            append_side(side, lacking)
        self._count, self._head, self._signed = found.rows, found.head_hash, found.signed_rows

    def _release(self) -> None:
        if self._database is not None:
            self._database.conn.close()
            self._database = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _take_lock(path: Path) -> int:
    """flock on a file beside the database: held by the descriptor, so the kernel lets it go however the process
    ends, and a second opener in the same process is refused too. The file itself stays. Raises StoreBusy, OSError."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreBusy(str(path.parent)) from error
    return descriptor


def _columns(checkpoint: Checkpoint) -> tuple[int, str, str, str, str]:
    return checkpoint.count, checkpoint.head, checkpoint.time_utc, checkpoint.public_key, checkpoint.signature


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cause(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
