"""Who said yes to exactly what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Shown:
    """Digests (SHA-256 hex) of everything the approver was shown."""

    session_id: str
    case_digest: str
    plan_digest: str
    dose_digest: str
    evaluation_digest: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(_SHOWN.dump_json(self)).hexdigest()


@dataclass(frozen=True)
class Approval:
    """An Ed25519 signature (hex) over `shown.digest` + approver + time. `is_demo` marks the demo's own identity.
    acknowledged: why the plan was approved although no second calculation agrees with it ('' where one does)."""

    shown: Shown
    approver: str
    role: str
    public_key: str
    signature: str
    approved_at: str
    is_demo: bool = False
    acknowledged: str = ""

    def to_json(self) -> bytes:
        return _APPROVAL.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> Approval:
        return _APPROVAL.validate_json(data)


_SHOWN = TypeAdapter(Shown)
_APPROVAL = TypeAdapter(Approval)
