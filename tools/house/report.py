"""What the rules found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Report:
    """`broken` fails the build; `notices` are printed only."""

    broken: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
