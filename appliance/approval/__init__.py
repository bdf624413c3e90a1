"""Who may approve, proved by a passphrase, and a signature bound to exactly what was shown."""

from appliance.approval.attempts import ATTEMPTS_ALLOWED, LOCKED_FOR_S
from appliance.approval.person import MINIMUM_PASSPHRASE, ROLES, ROLES_THAT_APPROVE, Person
from appliance.approval.signature import approval_bytes, is_signed, verify_approval, verify_endorsement
from appliance.approval.store import IdentityStore

__all__ = [
    "ATTEMPTS_ALLOWED",
    "LOCKED_FOR_S",
    "MINIMUM_PASSPHRASE",
    "ROLES",
    "ROLES_THAT_APPROVE",
    "IdentityStore",
    "Person",
    "approval_bytes",
    "is_signed",
    "verify_approval",
    "verify_endorsement",
]
