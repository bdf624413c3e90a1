"""The systemd unit is valid and gives the node no more rights than it needs."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.errors import AuditError, ConfigError, ModelError

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "couchside.service"


def service() -> dict[str, str]:
    """The [Service] section; of a key given twice the last value."""
    unit = configparser.ConfigParser(interpolation=None, strict=False, comment_prefixes=("#",), delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT, "utf-8")
    return dict(unit["Service"])


def test_it_runs_as_its_own_user_without_any_capability_and_with_a_private_store():
    keys = service()
    assert keys["User"] == "couchside" and keys["CapabilityBoundingSet"] == keys["AmbientCapabilities"] == ""
    assert (keys["StateDirectoryMode"], keys["UMask"], keys["ProtectSystem"]) == ("0700", "0077", "strict")


def test_failures_that_a_restart_cannot_mend_are_not_restarted():
    wanted = {ConfigError.exit_code, ModelError.exit_code, AuditError.exit_code}
    assert {int(code) for code in service()["RestartPreventExitStatus"].split()} == wanted


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_it_and_rates_its_exposure_as_low(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/couchside/.venv/bin/couchside", "/bin/true"), "utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert UNIT.name not in verified.stderr, verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout[-300:]
