"""The archive format: complete, in order, checkable by itself."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from appliance.audit import AuditLog, Checkpoint, export
from appliance.errors import AuditError, WriteFailed


def test_rows_and_checkpoints_come_out_in_order(tmp_path: Path) -> None:
    path, out = tmp_path / "audit.sqlite", tmp_path / "out.jsonl"
    with AuditLog.open(path) as log:
        written = [log.append("event", data={"ä": n}) for n in range(3)]
        log.checkpoint()
        log.checkpoint()
        written.append(log.append("last"))
        key = log.public_key
    assert export(path, out).ok
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [line.pop("kind") for line in lines] == [
        "log",
        "checkpoint",
        *["row"] * 3,
        "checkpoint",
        "row",
        "checkpoint",
    ]
    assert lines[0] == {
        "format": 1,
        "public_key": key,
        "rows": 4,
        "head": written[-1].row_hash,
        "verified": True,
        "reason": "every row is as it was written",
    }
    checkpoints = [Checkpoint(**lines[i]) for i in (1, 5, 7)]
    assert [checkpoint.count for checkpoint in checkpoints] == [0, 3, 4]
    assert all(checkpoint.is_signed_by(key) for checkpoint in checkpoints)
    assert checkpoints[1].head == lines[4]["row_hash"] == written[2].row_hash


def test_a_log_without_its_triggers_is_exported_as_unverified(tmp_path: Path) -> None:
    path, out = tmp_path / "audit.sqlite", tmp_path / "out.jsonl"
    with AuditLog.open(path) as log:
        log.append("event")
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER audit_delete")
    connection.close()
    assert not export(path, out).ok
    assert json.loads(out.read_text().splitlines()[0])["verified"] is False


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    with pytest.raises(AuditError):
        export(tmp_path / "none.sqlite", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    AuditLog.open(tmp_path / "audit.sqlite").close()
    with pytest.raises(WriteFailed, match="could not be written"):
        export(tmp_path / "audit.sqlite", tmp_path / "no" / "folder.jsonl")
