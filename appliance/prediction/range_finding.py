"""What a detector of unknown patients says: refuse, warn or note, with a sentence for a clinician."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """REFUSE: no dose is predicted. WARN: predicted, and to be looked at with doubt. NOTE: a reader of the prediction
    should know it, although the network has met it often."""

    REFUSE = "refuse"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True)
class RangeFinding:
    """code is stable (`volume.SpinalCord`). sentence: what is outside, what the network knows, and what to do."""

    severity: Severity
    code: str
    sentence: str


def refuse(code: str, sentence: str) -> RangeFinding:
    return RangeFinding(Severity.REFUSE, code, f"{sentence} No dose is predicted.")


def warn(code: str, sentence: str) -> RangeFinding:
    return RangeFinding(Severity.WARN, code, sentence)


def note(code: str, sentence: str) -> RangeFinding:
    return RangeFinding(Severity.NOTE, code, sentence)
