"""What a self-check says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from appliance.config import Config


class Status(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    """One capability is missing or slow; everything else works."""
    FAILED = "failed"
    """The appliance must not be used until this is repaired."""

    @property
    def rank(self) -> int:
        return list(Status).index(self)


@dataclass(frozen=True)
class CheckResult:
    """`sentence` tells a person what is the case and, if it is not ok, what to do; `detail` holds the figures, with
    units in their names. No patient data in either."""

    key: str
    title: str
    status: Status
    sentence: str
    detail: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What one check hands to the runner, which adds the check's key and title."""

    status: Status
    sentence: str
    detail: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """`run` may raise and may hang: the runner turns either into a failed result after `timeout_s`."""

    key: str
    title: str
    run: Callable[[Config], Finding]
    timeout_s: float = 10.0
