"""A part of a document that is made from the code: between two marks, written by `tools/check_house.py --write`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.house.report import Report


@dataclass(frozen=True)
class Generated:
    """`made` gives what belongs between the lines `begin` and `end` of `document`; `stale` says what else is there."""

    document: str
    begin: str
    end: str
    made: Callable[[], str]
    stale: str

    def _parts(self, root: Path) -> tuple[str, str, str]:
        before, rest = (root / self.document).read_text("utf-8").split(self.begin)
        now, after = rest.split(self.end)
        return before, now, after

    def write(self, root: Path) -> None:
        before, _, after = self._parts(root)
        (root / self.document).write_text(before + self.begin + self.made() + self.end + after, "utf-8")

    def check(self, root: Path, report: Report) -> None:
        if not (root / self.document).exists() or self._parts(root)[1] != self.made():
            report.broken.append(f"{self.document}: {self.stale}; run tools/check_house.py --write")
