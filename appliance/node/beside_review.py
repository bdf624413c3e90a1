"""What the node does while a person reads: nothing that a session needs, and nothing that makes one wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import structlog

from appliance.errors import AuditError, CouchsideError, DiskFull, NodeError, WriteFailed
from appliance.session import Session, State
from appliance.session_navigation import add_trade_offs
from appliance.session_traded import NAVIGATION_FILE

LONGEST_S = 120.0
"""Seconds for one session's plans, on the clock (chosen: what is not there by then will hardly be asked for); those
that there are then are kept."""

_log = structlog.get_logger(__name__)


class _Interrupted(Exception):
    """There is something else to do, or the session has moved on."""


class BesideReview:
    """Makes the trade-offs around plans in review, one session at a time, in the runner's own thread: kernels use every
    core, and two users of them would slow each other. `is_wanted` says whether the runner has something to do; it is
    asked at every step, so that a session waits for one evaluation at most."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self._failed: set[tuple[str, str]] = set()

    def work(self, sessions: Iterable[Session]) -> None:
        """Raises what the node cannot go on with (NodeError, AuditError) but a full disk; anything else is said in the
        log."""
        for session in sessions:
            digest = str(session.standing.facts.get("plan_digest", ""))
            is_done = session.files.has(NAVIGATION_FILE) or (session.id, digest) in self._failed
            if session.state is State.IN_REVIEW and not is_done:
                self._make(session, digest)
                return

    def _make(self, session: Session, digest: str) -> None:
        end = time.monotonic() + LONGEST_S

        def step(_: str, __: float, /) -> None:
            same = session.standing.facts.get("plan_digest") == digest
            if self._is_wanted() or not same or session.state is not State.IN_REVIEW:
                raise _Interrupted

        try:
            kept = add_trade_offs(session, step, enough=lambda: time.monotonic() > end)
            _log.info("trade-offs were made", session=session.id, kept=kept)
        except _Interrupted:
            _log.info("trade-offs were left off", session=session.id)
        except (DiskFull, WriteFailed) as error:
            self._given_up(session, digest, error.key)  # what sessions need they ask for themselves, and are held
        except (NodeError, AuditError):
            raise
        except CouchsideError as error:
            self._given_up(session, digest, error.key)
        except Exception as error:  # noqa: BLE001 - what nobody waits for must not end the node
            self._given_up(session, digest, type(error).__name__)

    def _given_up(self, session: Session, digest: str, reason: str) -> None:
        """Until the next start, or another plan."""
        _log.warning("no trade-offs around a plan", session=session.id, reason=reason)
        self._failed.add((session.id, digest))
