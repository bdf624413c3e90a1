"""The append-only record of everything that happened: hash-chained rows, signed checkpoints, an offline verifier."""

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.export import export
from appliance.audit.log import AuditLog
from appliance.audit.row import AuditRow
from appliance.audit.verification import Verification, verify

__all__ = ["AuditLog", "AuditRow", "Checkpoint", "Verification", "export", "verify"]
