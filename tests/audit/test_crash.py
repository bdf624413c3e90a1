"""Real processes, really killed, and a disk that really refuses."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.audit import AuditLog, verify
from appliance.audit.checkpoint import read_side, side_path
from appliance.errors import AuditError

WRITER = """
import sys
from pathlib import Path
from appliance.audit import AuditLog, log
log.CHECKPOINT_EVERY = 7  # so that many kills fall between a commit and its checkpoint
opened = AuditLog.open(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    row = opened.append("tick", data={"padding": "x" * 300})
    print(row.seq, row.row_hash, flush=True)
"""

FILLER = """
import resource, sys
from pathlib import Path
from appliance.audit import AuditLog
from appliance.errors import AuditError
opened = AuditLog.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
acknowledged = 0
try:
    while True:
        acknowledged = opened.append("tick", data={"padding": "x" * 2000}).seq
except AuditError as error:
    print(acknowledged, error, sep="|")
try:
    opened.append("small")
except AuditError:
    print("still refused")
"""


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    generator = random.Random(20)
    acknowledged: dict[int, str] = {}
    for _ in range(10):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(generator.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        output = writer.stdout.read()
        writer.wait()
        lines = [line.split() for line in output.split("\n")[:-1]]
        acknowledged.update({int(seq): row_hash for seq, row_hash in lines})
        result = verify(path)
        assert result.ok, result.reason
    stored = {row.seq: row.row_hash for row in AuditLog.read_only(path).rows()}
    assert acknowledged.items() <= stored.items()
    assert len(acknowledged) > 20
    assert len(stored) - len(acknowledged) <= 10, "a kill leaves at most one row committed but not acknowledged"


def test_a_disk_that_refuses_stops_the_log_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    done = subprocess.run([sys.executable, "-c", FILLER, str(path)], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    acknowledged, sentence = first.split("|")
    assert int(acknowledged) > 5
    assert "work stops" in sentence
    assert second == "still refused"
    with AuditLog.open(path) as log:
        assert len(list(log.rows())) == int(acknowledged)
        assert log.append("room again").seq == int(acknowledged) + 1
    assert verify(path).ok


def test_a_checkpoint_that_a_crash_kept_from_the_side_file_is_brought_after(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append("one")
    side = side_path(path)
    whole = side.read_bytes()
    side.write_bytes(whole[:-30])  # the last line torn
    assert verify(path).ok
    AuditLog.open(path).close()
    assert side.read_bytes() == whole
    assert [checkpoint.count for checkpoint in read_side(side)] == [0, 1]


def test_a_lost_key_or_a_lost_database_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    with AuditLog.open(path) as log:
        log.append("one")
    key = path.with_suffix(".key")
    secret = key.read_bytes()
    key.unlink()
    with pytest.raises(AuditError, match="signing key"):
        AuditLog.open(path)
    key.write_bytes(secret)
    key.chmod(0o644)
    with pytest.raises(AuditError, match="chmod 600"):
        AuditLog.open(path)
    key.chmod(0o600)
    AuditLog.open(path).close()
    path.unlink()
    with pytest.raises(AuditError, match="gone"):
        AuditLog.open(path)
    assert not verify(path).ok
