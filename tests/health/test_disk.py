"""Room and speed at the store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.config import Config, NodeConfig
from appliance.health import Status, disk


def config(store: Path, minimum_free_mb: int = 0) -> Config:
    return Config(node=NodeConfig(store=store, minimum_free_mb=minimum_free_mb))


def test_room_and_speed_are_measured_and_nothing_is_left(tmp_path: Path) -> None:
    finding = disk.check(config(tmp_path / "not" / "yet"))
    assert finding.status in (Status.OK, Status.DEGRADED), finding.sentence
    assert float(str(finding.detail["fsync_ms"])) > 0
    assert float(str(finding.detail["write_mb_s"])) > 0
    assert list(tmp_path.iterdir()) == []


def test_free_space_is_what_the_file_system_gives_to_users(tmp_path: Path) -> None:
    room = os.statvfs(tmp_path)
    free_mb = room.f_bavail * room.f_frsize / 2**20
    assert float(str(disk.check(config(tmp_path)).detail["free_mb"])) == pytest.approx(free_mb, abs=500)


def test_less_than_the_node_keeps_free_fails_and_little_more_is_degraded(tmp_path: Path) -> None:
    room = os.statvfs(tmp_path)
    free_mb = room.f_bavail * room.f_frsize // 2**20
    refused = disk.check(config(tmp_path, free_mb * 2))
    assert (refused.status, "nothing is received" in refused.sentence) == (Status.FAILED, True)
    scarce = disk.check(config(tmp_path, free_mb // 2))
    assert (scarce.status, "soon too little" in scarce.sentence) == (Status.DEGRADED, True)


def test_a_disk_that_cannot_be_written_fails() -> None:
    # /proc takes no files from anyone and reports no room, like a full or read-only disk.
    assert disk.check(config(Path("/proc/couchside-store"))).status is Status.FAILED


@pytest.mark.parametrize(("write_mb_s", "fsync_ms"), [(5.0, 1.0), (500.0, 80.0)])
def test_a_slow_disk_is_degraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_mb_s: float, fsync_ms: float
) -> None:
    monkeypatch.setattr(disk, "measure", lambda _: (write_mb_s, fsync_ms))
    finding = disk.check(config(tmp_path))
    assert (finding.status, "slow" in finding.sentence) == (Status.DEGRADED, True)
