"""What a named person decided about guidelines, signed with that person's own key."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import RefusedPackage

_DOMAIN = b"couchside guideline decision v1\n"

Kind = Literal["trust", "activate", "rollback"]


class Decision(BaseModel):
    """One line of decisions.jsonl. number: 1, 2, 3 … without a gap. name, version, digest: the package, or for 'trust'
    the signer's name, '' and the SHA-256 of the key file. before: the version that was active until then, '' where it
    was none that a person had activated (then the shipped one was). records: SHA-256 over the change-control records
    that were written for it (`records`). at: ISO 8601 UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    number: int = Field(ge=1)
    kind: Kind
    name: str
    version: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    before: str = ""
    records: str = ""
    reason: str = ""
    person: str
    role: str
    at: str
    signature: str = ""

    def statement(self) -> bytes:
        """The bytes that are signed: a line naming the purpose, then everything but the signature as JSON with sorted
        keys."""
        content = self.model_dump(exclude={"signature"})
        return _DOMAIN + json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def to_line(self) -> bytes:
        return self.model_dump_json().encode() + b"\n"


Verify = Callable[[Decision], None]
"""Raises where the signature is not that of the person it names, as registered here."""


def read_decisions(content: bytes, verify: Verify) -> tuple[Decision, ...]:
    """Every decision, in order, each with its signature checked. A last line that a crash tore has no line end and is
    left out. Raises RefusedPackage for anything else that is not as a person signed it, and what `verify` raises."""
    found = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            decision = Decision.model_validate_json(line)
        except ValidationError as error:
            raise _altered(f"line {number} is not a decision") from error
        if decision.number != number:
            raise _altered(f"decision {number} is missing")
        verify(decision)
        found.append(decision)
    return tuple(found)


def version_before(decisions: Sequence[Decision], name: str) -> str:
    """Of package `name`: what its present version took the place of, each rollback undoing one activation; '' where
    nothing is left to go back to."""
    earlier: list[str] = []
    for decision in decisions:
        if decision.name == name and decision.kind == "activate":
            earlier.append(decision.before)
        elif decision.name == name and decision.kind == "rollback":
            earlier = earlier[:-1]
    return earlier[-1] if earlier else ""


def _altered(reason: str) -> RefusedPackage:
    return RefusedPackage(
        f"the list of decisions was altered: {reason}",
        what="store",
        remedy="Restore guidelines/decisions.jsonl from a backup; the audit log has every decision",
    )
