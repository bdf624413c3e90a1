"""Check 'clock': the time on approvals, UIDs' dates and audit rows must be right.

Asks the kernel (adjtimex(2): TIME_ERROR or STA_UNSYNC mean that no time service disciplines the clock; works with
chrony, ntpd and systemd-timesyncd alike), else timedatectl. Compares a short stretch of the wall clock with the
monotonic one (a step), the year with a plausible range, and the wall clock with the last audit checkpoint, which
cannot lie in the future. Failed for an implausible year or a clock behind the audit log; degraded if not
synchronised, not known to be, or stepping.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from appliance.audit.checkpoint import read_side, side_path
from appliance.config import Config
from appliance.errors import AuditError
from appliance.health.result import Finding, Status

PLAUSIBLE_YEARS = range(2025, 2100)
"""Chosen: this software is not older, and a board without battery starts in 1970 or 2000."""

STEP_S = 0.05
STRETCH_S = 0.25
BEHIND_S = 2.0
"""Chosen: a wall clock may be slewed by 500 ppm (adjtimex limit), which is 0.1 ms in the stretch watched; a clock that
a time service set back may be a second behind the last audit row, not more."""

_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>, Linux; with modes = 0 nothing is set and no privilege is needed."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_long * 32),
    )


def check(config: Config) -> Finding:
    now = datetime.now(UTC)
    step_s = wall_step_s()
    synchronised, source, maximum_error_ms = synchronisation()
    behind_s = behind_audit_s(config.node.store, now)
    detail: dict[str, JsonValue] = {
        "utc": now.isoformat(timespec="seconds"),
        "synchronised": synchronised,
        "source": source,
        "maximum_error_ms": maximum_error_ms,
        "step_ms": round(step_s * 1e3, 3),
        "behind_audit_s": behind_s,
    }
    when = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year not in PLAUSIBLE_YEARS:
        return Finding(Status.FAILED, f"The clock says {when}, which cannot be; set it.", detail)
    if behind_s is not None and behind_s > BEHIND_S:
        return Finding(Status.FAILED, f"The clock ({when}) is {behind_s:.0f} s behind the audit log; set it.", detail)
    if abs(step_s) > STEP_S:
        return Finding(Status.DEGRADED, f"The clock was set by {step_s:.2f} s while it was watched.", detail)
    if synchronised is None:
        return Finding(Status.DEGRADED, f"{when}; it cannot be told whether the clock is synchronised.", detail)
    if not synchronised:
        return Finding(Status.DEGRADED, f"{when}, but no time service sets the clock; configure NTP.", detail)
    return Finding(Status.OK, f"{when}, synchronised.", detail)


def wall_step_s(stretch_s: float = STRETCH_S) -> float:
    """How much further the wall clock went than the monotonic one over a short stretch; positive = set forward."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(stretch_s)
    return (time.time() - wall) - (time.monotonic() - steady)


def synchronisation() -> tuple[bool | None, str, float | None]:
    """(synchronised or None if nobody can tell, who said so, the kernel's largest error in ms)."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    state = libc.adjtimex(ctypes.byref(timex))
    if state >= 0:
        synchronised = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
        return synchronised, "adjtimex", timex.maxerror / 1e3
    program = shutil.which("timedatectl")
    if program is None:
        return None, "", None
    query = [program, "show", "--property=NTPSynchronized", "--value"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=5.0, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None, "", None
    return answer == "yes", "timedatectl", None


def behind_audit_s(store: Path, now: datetime) -> float | None:
    """Seconds by which `now` is before the last signed checkpoint of the store's log; None if there is none to read
    (whether that is a fault the check 'store' says)."""
    try:
        signed = read_side(side_path(store / "audit.sqlite"))
        last = datetime.fromisoformat(signed[-1].time_utc)
    except (OSError, AuditError, IndexError, ValueError):
        return None
    return round((last - now).total_seconds(), 3)
