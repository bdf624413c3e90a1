"""The whole log as JSON lines, for an archive or another tool. The format is part of the interface.

Line 1 `{"kind":"log","format":1,"public_key":…,"rows":…,"head":…,"verified":true|false,"reason":…}`; then one line a
row `{"kind":"row",…}` with the fields of AuditRow, each followed, where one was signed there, by its
`{"kind":"checkpoint",…}` line.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.row import AuditRow
from appliance.audit.schema import connect_reader
from appliance.audit.verification import Verification, verify
from appliance.dicomio.files import sync_folder
from appliance.errors import AuditError, WriteFailed

FORMAT = 1


def export(path: Path, destination: Path) -> Verification:
    """Writes the file whole (temporary file, fsync, rename) and returns what `verify` said about the log; a log that
    does not verify is exported too, as evidence, and its first line says so. Raises AuditError if a row is damaged
    so that it cannot be given out; WriteFailed if the destination cannot be written."""
    verification = verify(path)
    temporary = destination.with_name(destination.name + ".part")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            for line in _lines(path, verification):
                stream.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(destination)
        sync_folder(destination.parent)
    except OSError as error:
        raise WriteFailed(f"{destination} ({error.strerror})") from error
    except sqlite3.Error as error:
        raise AuditError(f"{path.name} cannot be read ({error})") from error
    return verification


def _lines(path: Path, verification: Verification) -> Iterator[dict[str, object]]:
    yield {
        "kind": "log",
        "format": FORMAT,
        "public_key": verification.public_key,
        "rows": verification.rows,
        "head": verification.head_hash,
        "verified": verification.ok,
        "reason": verification.reason,
    }
    with closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")
        query = "SELECT count, head, time_utc, public_key, signature FROM checkpoint"
        signed = {row[0]: Checkpoint(*row) for row in connection.execute(query)}
        if 0 in signed:
            yield {"kind": "checkpoint", **asdict(signed[0])}
        for stored in connection.execute("SELECT * FROM audit ORDER BY seq"):
            yield {"kind": "row", **asdict(AuditRow.from_stored(stored))}
            if stored[0] in signed:
                yield {"kind": "checkpoint", **asdict(signed[stored[0]])}
