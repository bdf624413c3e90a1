"""Wrong passphrases are counted on the disk, and after too many the identity is locked for a time.

An attempt is noted before the passphrase is tried and forgotten after success: who kills the process in between, or
tries from several processes, gains no guess.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.audit.durable import write_durable
from appliance.errors import ApprovalError

ATTEMPTS_ALLOWED = 5
LOCKED_FOR_S = 900.0
"""Chosen: five typing errors are believable, a sixth is a guess; at 20 guesses an hour a passphrase of ten characters
holds, and a physician with a patient on the couch has colleagues who can approve."""


class Attempts(BaseModel):
    """`failed` wrong passphrases in a row, the last at `last_s` (seconds since the epoch, wall clock, because the
    state must outlive a restart)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    failed: int = Field(default=0, ge=0)
    last_s: float = Field(default=0.0, allow_inf_nan=False)

    @staticmethod
    def read(path: Path) -> Attempts:
        """Raises ApprovalError if the file is damaged: fail closed. Raises OSError."""
        if not path.exists():
            return Attempts()
        try:
            return Attempts.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ApprovalError(
                f"the attempt counter {path.name} is damaged; an administrator must remove it"
            ) from error

    def demand_unlocked(self, now_s: float) -> Attempts:
        """The count to go on from. Raises ApprovalError while locked."""
        if self.failed < ATTEMPTS_ALLOWED:
            return self
        elapsed_s = now_s - self.last_s
        if elapsed_s >= LOCKED_FOR_S:
            return Attempts()
        minutes = math.ceil((LOCKED_FOR_S - elapsed_s) / 60)
        raise ApprovalError(
            f"{ATTEMPTS_ALLOWED} wrong passphrases in a row; this identity is locked for {minutes} more minutes"
        )


def note_attempt(path: Path) -> int:
    """Counts one more attempt, durably, and returns how many remain after it. Raises ApprovalError while locked, and
    OSError: without a counter no attempt."""
    now_s = time.time()
    state = Attempts.read(path)
    if state.last_s > now_s and state.failed >= ATTEMPTS_ALLOWED:  # the clock was set back: the lock starts over, once
        state = Attempts(failed=state.failed, last_s=now_s)
        write_durable(path, state.model_dump_json().encode())
    failed = state.demand_unlocked(now_s).failed + 1
    write_durable(path, Attempts(failed=failed, last_s=now_s).model_dump_json().encode())
    return ATTEMPTS_ALLOWED - failed


def forget_attempts(path: Path) -> None:
    path.unlink(missing_ok=True)
