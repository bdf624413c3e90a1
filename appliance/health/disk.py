"""Check 'disk': room for what will be received, and how long a durable write takes.

At the store (or, before the first start, at its nearest existing parent): free bytes and inodes, then a file of 16 MiB
written and fsynced, and 20 small appends each with its fsync, as the audit log does them; the probe is removed. Failed
if nothing can be written or less than `minimum_free_mb` is free, for then the node refuses to receive; degraded below
RESERVE times that, on few inodes, or on a slow disk.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from pydantic import JsonValue

from appliance.config import Config
from appliance.health.result import Finding, Status

RESERVE = 4
"""Warn at this many times the refusal limit. Chosen: 2 GiB with the default, about ten whole cases."""

PROBE_BYTES = 16 * 1024 * 1024
APPENDS = 20
FEW_INODES = 10_000
SLOW_FSYNC_MS = 50.0
"""Chosen: an SSD needs 1 to 5 ms, a hard disk 10 to 25; above 50 a case of 200 objects waits 10 s for the disk."""
SLOW_WRITE_MB_S = 20.0
"""Chosen: a CT series of 200 slices (105 MB) then takes more than 5 s to store."""


def check(config: Config) -> Finding:
    folder = nearest_existing(config.node.store)
    room = os.statvfs(folder)
    free_mb = room.f_bavail * room.f_frsize // 2**20
    detail: dict[str, JsonValue] = {"free_mb": free_mb, "refuses_below_mb": config.node.minimum_free_mb}
    if room.f_files:
        detail["free_inodes"] = room.f_favail
    if free_mb < max(config.node.minimum_free_mb, 2 * PROBE_BYTES // 2**20):
        return Finding(
            Status.FAILED, f"Only {free_mb} MB are free at the store; nothing is received. Free space.", detail
        )
    try:
        write_mb_s, fsync_ms = measure(folder)
    except OSError as error:
        return Finding(Status.FAILED, f"The store's disk cannot be written ({error.strerror}); repair it.", detail)
    detail |= {"write_mb_s": round(write_mb_s, 1), "fsync_ms": round(fsync_ms, 2)}
    speed = f"durable writes {write_mb_s:.0f} MB/s, {fsync_ms:.1f} ms an fsync"
    if free_mb < RESERVE * config.node.minimum_free_mb:
        return Finding(Status.DEGRADED, f"{free_mb} MB are free at the store, soon too little; free space.", detail)
    if room.f_files and room.f_favail < FEW_INODES:
        return Finding(
            Status.DEGRADED, f"Only {room.f_favail} more files fit on the store's disk; remove some.", detail
        )
    if fsync_ms > SLOW_FSYNC_MS or write_mb_s < SLOW_WRITE_MB_S:
        return Finding(Status.DEGRADED, f"The store's disk is slow ({speed}); receiving will be slow.", detail)
    return Finding(Status.OK, f"{free_mb / 1024:.1f} GiB free at the store, {speed}.", detail)


def nearest_existing(path: Path) -> Path:
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def measure(folder: Path) -> tuple[float, float]:
    """(MB/s of one durable write, median ms of a durable small append). Raises OSError."""
    block = os.urandom(2**20)
    with tempfile.TemporaryFile(dir=folder, prefix=".couchside-probe-") as probe:
        start = time.perf_counter()
        for _ in range(PROBE_BYTES // len(block)):
            probe.write(block)
        probe.flush()
        os.fsync(probe.fileno())
        write_s = time.perf_counter() - start
        appends_s = []
        for _ in range(APPENDS):
            start = time.perf_counter()
            probe.write(block[:300])
            probe.flush()
            os.fsync(probe.fileno())
            appends_s.append(time.perf_counter() - start)
    return PROBE_BYTES / 1e6 / write_s, statistics.median(appends_s) * 1e3
