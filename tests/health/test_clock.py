"""The clock against the kernel, the monotonic clock and the audit log."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.audit import AuditLog
from appliance.config import Config, NodeConfig
from appliance.health import Status, clock


@pytest.fixture
def config(tmp_path: Path) -> Config:
    with AuditLog.open(tmp_path / "audit.sqlite") as log:
        log.append("event")
    return Config(node=NodeConfig(store=tmp_path))


def test_this_machines_clock_is_judged(config: Config) -> None:
    finding = clock.check(config)
    assert abs(float(str(finding.detail["step_ms"]))) < 1000
    assert -60 < float(str(finding.detail["behind_audit_s"])) <= 0
    assert datetime.fromisoformat(str(finding.detail["utc"])).year == time.gmtime().tm_year


def test_the_kernel_answers_without_privilege() -> None:
    synchronised, source, maximum_error_ms = clock.synchronisation()
    assert source in ("adjtimex", "timedatectl", "")
    if source == "adjtimex":
        assert synchronised in (True, False)
        # The kernel bounds the error by 16 s (NTP_PHASE_LIMIT, <linux/timex.h>).
        assert maximum_error_ms is not None
        assert 0 <= maximum_error_ms <= 16_000


@pytest.mark.parametrize(("answer", "status"), [(True, Status.OK), (False, Status.DEGRADED), (None, Status.DEGRADED)])
def test_synchronisation_decides(
    config: Config, monkeypatch: pytest.MonkeyPatch, answer: bool | None, status: Status
) -> None:
    monkeypatch.setattr(clock, "synchronisation", lambda: (answer, "adjtimex", 1.0))
    assert clock.check(config).status is status


def test_a_step_while_watched_is_seen(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    real, start = time.time, time.monotonic()
    monkeypatch.setattr(clock.time, "time", lambda: real() + (3600 if time.monotonic() - start > 0.1 else 0))
    assert clock.wall_step_s() == pytest.approx(3600, abs=1)
    monkeypatch.setattr(clock, "wall_step_s", lambda: -2.0)
    finding = clock.check(config)
    assert (finding.status, "-2.00 s" in finding.sentence) == (Status.DEGRADED, True)


def test_a_clock_behind_the_audit_log_fails(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert clock.behind_audit_s(config.node.store, hour_ago) == pytest.approx(3600, abs=30)
    monkeypatch.setattr(clock, "behind_audit_s", lambda *_: 3600.0)
    finding = clock.check(config)
    assert (finding.status, "3600 s behind" in finding.sentence) == (Status.FAILED, True)


def test_without_a_log_there_is_nothing_to_compare(tmp_path: Path) -> None:
    assert clock.behind_audit_s(tmp_path, datetime.now(UTC)) is None


def test_an_implausible_year_fails(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "PLAUSIBLE_YEARS", range(1970, 1971))
    assert clock.check(config).status is Status.FAILED
