"""One thread that moves sessions on. One at a time, because planning uses every core there is."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog

from appliance.config import NodeConfig
from appliance.contracts import Received
from appliance.errors import AuditError, CouchsideError, DiskFull, NodeError, SessionError
from appliance.node.beside_review import BesideReview
from appliance.node.intake import Intake
from appliance.session import Session, State

HELD_RETRY_S = 5.0
"""How long a session that met a full disk waits before it tries again. Chosen: soon enough that nobody has to act."""

LONGEST_WAIT_S = 10.0
"""How long the node is idle before the newest rows of the log are signed, which also shows whether the log can still be
written. Chosen: one signature and one fsync in that time cost nothing."""

LOOK_EVERY_S = 1.0
"""How often work beside a review makes room to look for new sessions (chosen: a second of thirty is not noticed)."""

UNDECIDED = (
    State.ASSEMBLING,
    State.CONTOUR_REVIEW,
    State.PREDICTING,
    State.PLANNING,
    State.EVALUATING,
    State.IN_REVIEW,
    State.REVISING,
    State.FAILED,
)

_log = structlog.get_logger(__name__)


class Runner:
    """`sessions` is changed by this thread alone; `held` says in a sentence why a session does not move, `step` what
    the running one is doing."""

    def __init__(
        self,
        config: NodeConfig,
        intake: Intake,
        *,
        checkpoint: Callable[[], None],
        on_broken: Callable[[CouchsideError], None],
    ) -> None:
        self.intake, self._checkpoint = intake, checkpoint
        self.sessions: dict[str, Session] = {}
        self.held: dict[str, str] = {}
        self.step: dict[str, tuple[str, float]] = {}
        self._store, self._minimum_free_mb = config.store, config.minimum_free_mb
        self._on_broken = on_broken
        self._wake = threading.Condition()
        self._ready: deque[str] = deque()
        self._retry_at: dict[str, float] = {}
        self._running = ""
        self._beside = BesideReview(self._is_wanted) if config.navigation else None
        self._looked_at = 0.0
        self.stopping = False
        self._thread = threading.Thread(target=self._guarded, name="sessions", daemon=True)

    def start(self, sessions: Iterable[Session]) -> None:
        """`sessions` are those of the log; each goes on where it stands."""
        self.sessions = {session.id: session for session in sessions}
        self._ready.extend(self.sessions)
        self.intake.resume(tuple(self.sessions.values()))
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a stage under way is given up, and is run again after the next start."""
        with self._wake:
            self.stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def push(self, session_id: str) -> None:
        with self._wake:
            self._ready.append(session_id)
            self._wake.notify_all()

    def arrived(self, received: Received) -> None:
        """Called from receiving threads."""
        self.intake.arrived(received)
        with self._wake:
            self._wake.notify_all()

    def progress(self, step: str, fraction: float, /) -> None:
        """Given to the running stage. Raises NodeError where the node is asked to end: the session's state stays."""
        if self.stopping:
            raise NodeError("it is stopping; the session goes on when it starts again")
        self.step[self._running] = (step, fraction)

    def _is_wanted(self) -> bool:
        """Whether there is something to do for a session; looked for now and then, as between two sessions."""
        if time.monotonic() - self._looked_at > LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            self._look_around()
        return self.stopping or bool(self._ready)

    def _guarded(self) -> None:
        """The top-level guard of this thread: whatever ends it ends the node, in words."""
        try:
            self._loop()
        except CouchsideError as error:
            self._on_broken(error)
        except Exception as error:  # noqa: BLE001
            _log.error("the session runner ended", error=type(error).__name__, where=_where(error))
            self._on_broken(NodeError(f"an internal error ({type(error).__name__}) ended the session runner"))

    def _loop(self) -> None:
        while not self.stopping:
            wait_s = self._look_around()
            with self._wake:
                idle = not (self._ready or self.stopping or self._wake.wait(wait_s))
                session_id = self._ready.popleft() if self._ready and not self.stopping else ""
            if session_id:
                self._advance(self.sessions[session_id])
            elif idle:
                self._checkpoint()
                if self._beside is not None:
                    self._beside.work(tuple(self.sessions.values()))

    def _look_around(self) -> float:
        """Opens sessions, starts those whose objects are all there, tries held ones again. Returns the seconds until
        there may be more to do."""
        sessions = tuple(self.sessions.values())
        for session in self.intake.open_sessions(sessions):
            self.sessions[session.id] = session
        wait_s = LONGEST_WAIT_S
        for session in tuple(self.sessions.values()):
            if session.state is not State.WAITING:
                continue
            settles_in_s = self.intake.settles_in_s(session)
            if settles_in_s > 0:
                wait_s = min(wait_s, settles_in_s)
            else:
                self._begin(session, sessions)
        for session_id, at in tuple(self._retry_at.items()):
            if (left_s := at - time.monotonic()) <= 0:
                del self._retry_at[session_id]
                self._ready.append(session_id)
            wait_s = min(wait_s, max(0.0, left_s))
        return wait_s

    def _begin(self, session: Session, others: Sequence[Session]) -> None:
        try:
            if self.intake.start_if_complete(session, others):
                self._supersede(session, others)
                self._ready.append(session.id)
        except NodeError as error:
            self._hold(session, error)

    def _supersede(self, session: Session, others: Sequence[Session]) -> None:
        """Sessions of the same patient that nobody has decided on are about an older anatomy: they end here, so that
        there is never a choice of plans for different days."""
        for other in others:
            same = other is not session and other.standing.patient_key == session.standing.patient_key
            if same and other.state in UNDECIDED:
                _log.info("a session is superseded", session=other.id, by=session.id)
                other.stop("system", f"newer objects of the patient have arrived; session {session.id} is about them")
                self._ready.append(other.id)

    def _advance(self, session: Session) -> None:
        """Runs a session as far as it goes. What the node lacks (disk, store) holds the session where it is."""
        self.held.pop(session.id, None)
        if not session.can_run:
            return
        self._running = session.id
        try:
            self._demand_room()
            session.run()
        except AuditError:
            raise
        except NodeError as error:
            self._hold(session, error)
        except Exception as error:  # noqa: BLE001
            # A fault in a stage ends this session, in words, and must not end the others.
            _log.error("a stage failed", session=session.id, error=type(error).__name__, where=_where(error))
            session.fail(
                SessionError(f"An internal error ({type(error).__name__}) in the state '{session.state}'; see the log")
            )
        finally:
            self._running = ""
            self.step.pop(session.id, None)

    def _hold(self, session: Session, error: NodeError) -> None:
        if self.stopping:
            return
        _log.warning("a session is held", session=session.id, state=session.state, reason=error.sentence)
        self.held[session.id] = error.sentence
        self._retry_at[session.id] = time.monotonic() + HELD_RETRY_S

    def _demand_room(self) -> None:
        status = os.statvfs(self._store)
        free_mb = status.f_bavail * status.f_frsize // 1024**2
        if free_mb < self._minimum_free_mb:
            raise DiskFull(f"{free_mb} MiB are free and {self._minimum_free_mb} MiB must stay free")


def _where(error: Exception) -> str:
    """File and line only: an exception's text may hold what came from a dataset."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
