"""Check 'store': who holds it, whether its audit log is whole, and who may read it.

Looks the lock up in /proc/locks instead of trying it, so that a node that starts at the same moment is not disturbed;
verifies the whole audit log (chain, signed checkpoints, triggers, side file); and compares permissions: secrets only
for their owner, and nothing of the store for other users, since it holds patient data. Failed if the log does not
verify or a secret is open; degraded if others can enter the store or quarantine holds objects.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from appliance.audit import verify
from appliance.audit.checkpoint import key_path
from appliance.config import Config
from appliance.health.result import Finding, Status

AUDIT = "audit.sqlite"


def check(config: Config) -> Finding:
    root = config.node.store
    if not root.is_dir():
        if root.exists():
            return Finding(Status.FAILED, f"The store {root} is not a folder; name another in the configuration.")
        return Finding(
            Status.OK, f"The store {root} does not exist yet; it is made at the first start.", {"made": False}
        )
    holder = lock_holder(root / "lock") or lock_holder(root / f"{AUDIT}.lock")
    detail: dict[str, JsonValue] = {"made": True, "held_by_process": holder}
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return Finding(Status.FAILED, f"The store {root} cannot be read and written by this user.", detail)
    open_secrets = [str(path.relative_to(root)) for path in secrets(root) if _mode(path) & 0o077]
    detail["open_secrets"] = list(open_secrets)
    held = f"in use by process {holder}" if holder else "not in use"
    if not (root / AUDIT).exists() and not key_path(root / AUDIT).exists():
        return Finding(Status.OK, f"The store is empty and {held}.", detail)
    audit = verify(root / AUDIT)
    detail |= {"audit_ok": audit.ok, "audit_rows": audit.rows, "first_bad_seq": audit.first_bad_seq}
    detail |= {"audit_signed_rows": audit.signed_rows, "audit_public_key": audit.public_key}
    if not audit.ok:
        return Finding(
            Status.FAILED, f"The audit log is not intact: {audit.reason}. Keep the store as evidence.", detail
        )
    if open_secrets:
        sentence = f"Other users can read the secret {open_secrets[0]}; run: chmod 600 {root / open_secrets[0]}"
        return Finding(Status.FAILED, sentence, detail)
    if _mode(root) & stat.S_IRWXO:
        return Finding(Status.DEGRADED, f"Other users can enter the store; run: chmod o-rwx {root}", detail)
    return Finding(Status.OK, f"Audit log whole, {audit.rows} rows; the store is {held}.", detail)


def secrets(root: Path) -> Iterator[Path]:
    """The signing key of the log and every identity's sealed key, as far as they are there."""
    key = key_path(root / AUDIT)
    if key.exists():
        yield key
    yield from sorted((root / "identities").glob("*.json"))


def lock_holder(path: Path, locks: Path = Path("/proc/locks")) -> int | None:
    """Process that holds an flock(2) on the file, by device and inode (proc_locks(5)); None if nobody does.

    -1 stands for a holder outside this process namespace."""
    try:
        file = path.stat()
        lines = locks.read_text().splitlines()
    except OSError:
        return None
    wanted = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in lines:
        fields = line.split()
        if fields[1] == "FLOCK" and wanted in fields:
            return int(fields[4]) or -1
    return None


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
