"""From objects to sessions: a new object of a patient opens a session, which starts once the set is complete and
nothing more has arrived for a while."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from appliance.contracts import Received
from appliance.errors import RefusedInput
from appliance.inbound import Completeness, ObjectStore, assess
from appliance.session import Session, State
from appliance.session_work import Facts

_log = structlog.get_logger(__name__)

HAD_ITS_SESSION = "a new image or structure set; the present one has had its session"

Open = Callable[[str, str], Session]
"""(session id, patient key) -> the session, opened and recorded."""


@dataclass
class _Arrival:
    """When a patient's newest object came: by the monotonic clock, and in UTC for the record."""

    at: float
    utc: str


class Intake:
    """`arrived` is called from receiving threads; everything else from the runner's one thread."""

    def __init__(self, store: ObjectStore, settle_s: float, open_session: Open) -> None:
        self._store, self._settle_s, self._open = store, settle_s, open_session
        self._lock = threading.Lock()
        self._new: dict[str, _Arrival] = {}
        self._unjudged: dict[str, _Arrival] = {}
        self.waits_for: dict[str, str] = {}

    def arrived(self, received: Received) -> None:
        with self._lock:
            self._new[received.patient_key] = _Arrival(time.monotonic(), _now())

    def resume(self, sessions: Sequence[Session]) -> None:
        """After a restart: objects that no session has looked at yet count as if they had just arrived."""
        seen: dict[str, int] = {}
        waiting = {session.standing.patient_key for session in sessions if session.state is State.WAITING}
        for session in sessions:
            key, up_to = session.standing.patient_key, session.standing.facts.get("seen_seq", 0)
            seen[key] = max(seen.get(key, 0), up_to if isinstance(up_to, int) else 0)
        for received in self._store.received():
            if received.received_at > seen.get(received.patient_key, 0) or received.patient_key in waiting:
                self.arrived(received)

    def open_sessions(self, sessions: Sequence[Session]) -> tuple[Session, ...]:
        """Opens one for each patient with new objects and no session that waits for them. Raises AuditError."""
        with self._lock:
            new, self._new = self._new, {}
        self._unjudged |= new
        waiting = {session.standing.patient_key for session in sessions if session.state is State.WAITING}
        return tuple(
            self._open(f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}", patient_key)
            for patient_key in new
            if patient_key not in waiting
        )

    def newer_than(self, session: Session, sessions: Sequence[Session]) -> str:
        """In a sentence, what has come for the session's patient since its own objects; empty if nothing has. A plan
        must not be approved on an anatomy that may be out of date."""
        patient_key = session.standing.patient_key
        with self._lock:
            if patient_key in self._new or patient_key in self._unjudged:
                return "newer objects of this patient are arriving; wait for their session"
        for other in sessions:
            same = other is not session and other.standing.patient_key == patient_key and other.state is State.WAITING
            if same and self.waits_for.get(other.id, HAD_ITS_SESSION) != HAD_ITS_SESSION:
                return (
                    f"newer objects of this patient have arrived and session {other.id} waits for "
                    f"{self.waits_for[other.id]}; send them, or stop that session if they do not matter"
                )
        return ""

    def settles_in_s(self, session: Session) -> float:
        """Seconds until the newest object of the session's patient is old enough to judge the set; infinite where
        nothing came since it was judged."""
        last = self._unjudged.get(session.standing.patient_key)
        return float("inf") if last is None else last.at + self._settle_s - time.monotonic()

    def start_if_complete(self, session: Session, others: Sequence[Session]) -> bool:
        """Hands today's objects to a waiting session, or leaves in `waits_for` what is not there yet. Raises NodeError
        (disk): the objects are judged again at the next call."""
        patient_key = session.standing.patient_key
        last = self._unjudged[patient_key]
        objects = self._store.case_objects(patient_key)
        missing = ""
        try:
            found = assess(objects, of_today=True)
            missing = found.missing
        except RefusedInput as error:
            missing = error.sentence
        else:
            before = [other for other in others if other.standing.patient_key == patient_key and other is not session]
            if found.complete and any(o.standing.facts.get("set_digest") == _set_digest(found) for o in before):
                missing = HAD_ITS_SESSION
        if missing:
            del self._unjudged[patient_key]
            self.waits_for[session.id] = missing
            _log.info("a session waits", session=session.id, reason=missing)
            return False
        self.waits_for.pop(session.id, None)
        seen = max(item.received_at for item in objects)
        facts: Facts = {"last_object_utc": last.utc, "set_digest": _set_digest(found), "seen_seq": seen}
        session.receive(found.chosen, facts, found.notes, found.reference)
        del self._unjudged[patient_key]
        return True


def _set_digest(found: Completeness) -> str:
    return hashlib.sha256(
        "".join(sorted(item.sha256 for item in (*found.chosen, *found.reference))).encode()
    ).hexdigest()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
