"""Model files stay small enough to be kept with the code: 30 MB for all of models/ together (chosen: a clone over a
hospital's line stays a matter of seconds)."""

from __future__ import annotations

from pathlib import Path

from tools.house.files import walk
from tools.house.report import Report

LIMIT_MB = 30.0


def check(root: Path, report: Report) -> None:
    total_mb = sum(path.stat().st_size for path in walk(root, ("models",))) / 1e6
    if total_mb > LIMIT_MB:
        report.broken.append(f"models/ holds {total_mb:.1f} MB; {LIMIT_MB:.0f} MB is the limit")
