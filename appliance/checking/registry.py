"""The list of checks. One function a check; each looks at the material and says what it found, never raises for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.checking.material import Material
from appliance.contracts import Finding, Outcome, Severity


@dataclass(frozen=True)
class Said:
    """severity: only where it differs from the check's own."""

    outcome: Outcome
    evidence: str
    severity: Severity | None = None


def passed(evidence: str) -> Said:
    return Said(Outcome.PASSED, evidence)


def found(evidence: str, severity: Severity | None = None) -> Said:
    return Said(Outcome.FOUND, evidence, severity)


def not_tested(why: str) -> Said:
    return Said(Outcome.NOT_TESTED, why)


def verdict(wrong: Sequence[str], right: str) -> Said:
    """What is wrong, or that nothing is. At most the first five are written out."""
    more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return found("; ".join(wrong[:5]) + more) if wrong else passed(right)


@dataclass(frozen=True)
class Check:
    id: str
    title: str
    severity: Severity
    source: str
    run: Callable[[Material], Said]

    def finding(self, material: Material) -> Finding:
        said = self.run(material)
        severity = said.severity or self.severity
        return Finding(self.id, self.title, severity, said.outcome, said.evidence, self.source)


CHECKS: list[Check] = []

FAMILIES = ("identity", "references", "status", "images", "contours", "beams", "setup", "points", "prescription",
            "dose", "second", "difference")  # fmt: skip
"""In the order of a reader: whose plan, on what it rests, what it does, what it gives. First part of each id."""


def check(
    id: str, title: str, severity: Severity, *, source: str
) -> Callable[[Callable[[Material], Said]], Callable[[Material], Said]]:
    """Puts the decorated function on the list, in the order of definition."""

    def register(run: Callable[[Material], Said]) -> Callable[[Material], Said]:
        CHECKS.append(Check(id, title, severity, source, run))
        return run

    return register


MPPG_11A = "AAPM MPPG 11.a, table 8"
TG_275 = "AAPM TG-275"
TG_218 = "AAPM TG-218"
CHOSEN = "chosen"
