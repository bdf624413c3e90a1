"""The bytes that are signed, and the check of a signature against the register of persons."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.approval.person import ROLES_THAT_APPROVE, Person
from appliance.contracts import Approval
from appliance.errors import ApprovalError

_DOMAIN = b"couchside approval v1\n"
_ENDORSED = b"couchside endorsement v1\n"


class Register(Protocol):
    def find(self, name: str) -> Person: ...


def approval_bytes(approval: Approval) -> bytes:
    """Canonical bytes of who approved what and when: a line naming the purpose, then JSON with sorted keys, no white
    space, UTF-8. The signature itself and the key are not in it."""
    content: dict[str, str | bool] = {
        "approved_at": approval.approved_at,
        "approver": approval.approver,
        "is_demo": approval.is_demo,
        "role": approval.role,
        "shown": approval.shown.digest,
    }
    if (
        approval.acknowledged
    ):  # left out where empty: signatures of plans that needed no acknowledgement stay as they are
        content["acknowledged"] = approval.acknowledged
    return _DOMAIN + json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def endorsement_bytes(statement: str) -> bytes:
    """Canonical bytes of a statement that a person signs and that is no approval: nothing signed so can be taken for
    one."""
    return _ENDORSED + statement.encode()


def is_signed(content: bytes, signature: str, public_key: str) -> bool:
    """Whether the key (Ed25519, hex) signed exactly these bytes; False also for a signature or key that is none."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_endorsement(statement: str, signature: str, person: Person) -> None:
    """Returns if the person's registered key signed the statement. Raises ApprovalError."""
    if not is_signed(endorsement_bytes(statement), signature, person.public_key):
        raise ApprovalError(f"the signature under '{statement}' is not that of {person.name}")


def demand_may_approve(person: Person) -> None:
    """Raises ApprovalError if the person's role does not approve plans."""
    if person.role not in ROLES_THAT_APPROVE:
        raise ApprovalError(f"{person.name} is registered as {person.role}; only a physician approves a plan")


def verify_approval(approval: Approval, identity_store: Register) -> None:
    """Returns if the approval was signed by the registered key of a person who may approve, and is unchanged since.

    Whether `approval.shown` is what is about to be exported is for the caller to compare. Raises ApprovalError.
    """
    person = identity_store.find(approval.approver)
    if approval.public_key != person.public_key:
        raise ApprovalError(f"it was signed with another key than the one registered for {person.name}")
    if (approval.approver, approval.role, approval.is_demo) != (person.name, person.role, person.is_demo):
        raise ApprovalError(f"it does not name the role in which {person.name} is registered")
    demand_may_approve(person)
    try:
        when = datetime.fromisoformat(approval.approved_at)
    except ValueError as error:
        raise ApprovalError("its time cannot be read") from error
    if when.utcoffset() != timedelta(0):
        raise ApprovalError("its time is not in UTC")
    if not is_signed(approval_bytes(approval), approval.signature, person.public_key):
        raise ApprovalError("its signature does not fit; what was approved is not what is here")
