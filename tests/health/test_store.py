"""The store as other processes and other users see it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.config import Config, NodeConfig
from appliance.health import Status, store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    with AuditLog.open(root / "audit.sqlite") as log:
        log.append("event")
    IdentityStore(root / "identities", scrypt_n=2**10).create("DEMO physician", "demo", "demo", demo=True)
    return root


def check(root: Path) -> store.Finding:
    return store.check(Config(node=NodeConfig(store=root)))


def test_a_whole_store_is_in_order(root: Path) -> None:
    finding = check(root)
    assert (finding.status, finding.detail["audit_rows"], finding.detail["held_by_process"]) == (Status.OK, 1, None)


def test_a_store_not_made_yet_is_in_order_and_not_made_by_looking(tmp_path: Path) -> None:
    assert check(tmp_path / "none").status is Status.OK
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    assert check(tmp_path / "empty").status is Status.OK
    assert list((tmp_path / "empty").iterdir()) == []
    (tmp_path / "file").write_text("")
    assert check(tmp_path / "file").status is Status.FAILED


def test_the_holder_of_the_lock_is_named_and_not_disturbed(root: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom appliance.audit import AuditLog\n"
        "log = AuditLog.open(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()\nlog.append('still mine')"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(root / "audit.sqlite")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    finding = check(root)
    holder.communicate()
    assert (finding.status, finding.detail["held_by_process"]) == (Status.OK, holder.pid)
    assert holder.returncode == 0
    assert check(root).detail["held_by_process"] is None


def test_a_lock_table_without_the_file_names_nobody(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "locks"
    file = root / "audit.sqlite.lock"
    device = f"{os.major(file.stat().st_dev):02x}:{os.minor(file.stat().st_dev):02x}"
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 77 {device}:{file.stat().st_ino + 1} 0 EOF\n")
    assert store.lock_holder(file, table) is None
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 77 {device}:{file.stat().st_ino} 0 EOF\n")
    assert store.lock_holder(file, table) == 77
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 0 {device}:{file.stat().st_ino} 0 EOF\n")
    assert store.lock_holder(file, table) == -1
    assert store.lock_holder(root / "no-lock") is None


def test_a_tampered_log_fails_with_its_row(root: Path) -> None:
    connection = sqlite3.connect(root / "audit.sqlite", isolation_level=None)
    connection.execute("DROP TRIGGER audit_update")
    connection.execute("UPDATE audit SET actor = 'someone else'")
    connection.close()
    finding = check(root)
    assert (finding.status, finding.detail["first_bad_seq"]) == (Status.FAILED, 1)
    assert "evidence" in finding.sentence


def test_a_removed_log_fails(root: Path) -> None:
    (root / "audit.sqlite").unlink()
    finding = check(root)
    assert (finding.status, "missing" in finding.sentence) == (Status.FAILED, True)


@pytest.mark.parametrize("pattern", ["audit.key", "identities/*.json"])
def test_an_open_secret_fails_and_names_the_command(root: Path, pattern: str) -> None:
    (secret,) = root.glob(pattern)
    secret.chmod(0o640)
    finding = check(root)
    assert (finding.status, f"chmod 600 {secret}" in finding.sentence) == (Status.FAILED, True)


def test_a_store_open_to_others_is_degraded(root: Path) -> None:
    root.chmod(0o755)
    finding = check(root)
    assert (finding.status, "chmod o-rwx" in finding.sentence) == (Status.DEGRADED, True)
