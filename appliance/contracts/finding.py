"""What one check of a plan said: an id that stays the same, how grave it would be, and the evidence in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """stop: do not treat with this plan as it is. warn: a person must look. info: said for the record."""

    STOP = "stop"
    WARN = "warn"
    INFO = "info"


class Outcome(StrEnum):
    PASSED = "passed"
    FOUND = "found"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Finding:
    """`id` is stable (`references.frame`); severity is that of what was found, or would have been. evidence: what was
    compared and what came out, with numbers; why, where it was not tested. Holds no patient's name or ID. source: what
    asks for the check."""

    id: str
    title: str
    severity: Severity
    outcome: Outcome
    evidence: str
    source: str

    @property
    def stops(self) -> bool:
        return self.outcome is Outcome.FOUND and self.severity is Severity.STOP

    @property
    def warns(self) -> bool:
        return self.outcome is Outcome.FOUND and self.severity is Severity.WARN
