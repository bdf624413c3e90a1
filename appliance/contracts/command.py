"""What a person asked for, after speech or typing was understood. Only `session` acts on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """`intent` is one of the conversation's intents; the rest is null where it does not apply. value is in `unit`."""

    intent: str
    structure: str | None = None
    metric: str | None = None
    comparator: str | None = None
    value: float | None = None
    unit: str | None = None
    priority: str | None = None
