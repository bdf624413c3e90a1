"""No path of one machine in any text: a home folder, a work folder, a drive letter. Product code also names no /tmp,
because a fixed name there can be taken by somebody else first."""

from __future__ import annotations

import re
from pathlib import Path

from tools.house.files import PRODUCT, WRITTEN, shown, walk
from tools.house.report import Report
from tools.house.words import TEXT

_FOLDERS = "|".join(("home", "root", "work", "Users", "mnt", "workspace"))
MACHINE = re.compile(rf"(?<![\w./~$}}-])/(?:{_FOLDERS})/[\w.-]|\b[A-Z]:\\\\?(?:Users|work)\b")
TEMPORARY = re.compile(r"[\"'](?:/var)?/tmp/")


def check(root: Path, report: Report) -> None:
    top = [root / name for name in ("README.md", "build.sh", "pyproject.toml", "CMakeLists.txt")]
    product = set(walk(root, PRODUCT, TEXT))
    for path in (*top, *walk(root, (*WRITTEN, "docs", "systemd"), TEXT)):
        for number, line in enumerate(path.read_text("utf-8").splitlines() if path.exists() else (), 1):
            if MACHINE.search(line):
                report.broken.append(f"{shown(path, root)}:{number} names a path of one machine: {line.strip()[:80]}")
            elif path in product and TEMPORARY.search(line):
                report.broken.append(f"{shown(path, root)}:{number} names a fixed temporary path; use tempfile")
