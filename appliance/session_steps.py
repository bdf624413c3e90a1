"""How a session makes a step: one audit row, then the new state; and what becomes of an error on the way.

`session.py` says which states and stages there are; this file knows none of them but the events `stop`, `fail` and
`miss export`, which any running stage can end in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypedDict, Unpack

import structlog

from appliance.errors import (
    CouchsideError,
    ExportError,
    IllegalTransition,
    NodeError,
    NotApproved,
    ReadBackMismatch,
    SessionStopped,
)
from appliance.session_record import ARTEFACTS, NOTE, TRANSITION, Follow, Standing
from appliance.session_work import Facts, Saved, StepTimer, Workplace


class More(TypedDict, total=False):
    """actor: who caused the step. steps: seconds of what the stage did."""

    actor: str
    steps: dict[str, float]


class Steps:
    _stage_of: Mapping[str, Callable[[], None]]

    def __init__(self, standing: Standing, workplace: Workplace, follow: Follow) -> None:
        self.id, self.standing, self._work, self._follow = standing.session_id, standing, workplace, follow
        self.files = workplace.artefacts(self.id, lambda: self.standing.artefacts)
        self._lock = threading.RLock()
        self._stop: tuple[str, str] | None = None
        self.error: CouchsideError | None = None

    @property
    def can_run(self) -> bool:
        """There is a stage for the state it is in."""
        return self.standing.state in self._stage_of

    def run(self) -> None:
        """Goes on until a person is needed, the peer does not answer, or the session has ended.

        Raises NodeError and AuditError (disk, store, log): the state is then as before, and `run` may be called again.
        """
        with structlog.contextvars.bound_contextvars(session=self.id):
            self._run()

    def _run(self) -> None:
        while True:
            try:
                self._give_up_if_asked()
                if (stage := self._stage_of.get(self.standing.state)) is None:
                    return
                stage()
            except SessionStopped as stopped:
                self._fire("stop", facts={"why": str(stopped.fields["reason"])}, actor=str(stopped.fields["actor"]))
            except NodeError:
                raise
            except CouchsideError as error:
                if self._only_missed_the_peer(error):
                    self._fire("miss export", facts={"why": error.sentence})
                    return
                self.fail(error)

    def _only_missed_the_peer(self, error: CouchsideError) -> bool:
        """The approved plan stands and can be sent again."""
        if not isinstance(error, ExportError) or isinstance(error, NotApproved | ReadBackMismatch):
            return False
        return self._allowed("miss export")

    def _allowed(self, event: str) -> bool:
        try:
            self._follow(self.standing.state, event)
        except IllegalTransition:
            return False
        return True

    def fail(self, error: CouchsideError) -> None:
        """Raises AuditError where the error was that nothing can be recorded."""
        self.error = error
        self._fire("fail", facts={"why": error.sentence, "key": error.key})

    def stop(self, actor: str, reason: str) -> None:
        """At once, or as soon as the stage under way lets go. Raises IllegalTransition."""
        with self._lock:
            self._follow(self.standing.state, "stop")
            if self.can_run:
                self._stop = (actor, reason)
            else:
                self._fire("stop", facts={"why": reason}, actor=actor)

    def lay_beside(self, state: str, fact: tuple[str, str], files: Mapping[str, bytes]) -> bool:
        """Further artefacts of a session that still is in `state`, with a fact that still holds; False, and nothing
        written, where it has moved on meanwhile. Raises DiskFull, WriteFailed, AuditError."""
        with self._lock:
            if self.standing.state != state or self.standing.facts.get(fact[0]) != fact[1]:
                return False
            saved: Saved = {}
            for name, data in files.items():
                saved |= self.files.save(name, data)
            self._append(ARTEFACTS, {"artefacts": dict(saved)})
        return True

    def forget_images(self) -> None:
        """Gives back memory that can be filled again from disk."""

    def _fire(self, event: str, saved: Saved | None = None, facts: Facts | None = None, **more: Unpack[More]) -> None:
        with self._lock:
            state = self.standing.state
            to = self._follow(state, event)
            data: Facts = {"event": str(event), "from": str(state), "to": str(to), "facts": dict(facts or {})}
            data |= {"artefacts": dict(saved or {}), "steps": dict(more.get("steps", {}))}
            self._append(TRANSITION, data, more.get("actor", "system"))
            if to not in self._stage_of:
                self.forget_images()
        self._work.tell(self.standing)

    def _append(self, event: str, data: Facts, actor: str = "system") -> None:
        """The row, then the timeline that it changes, and only then is the session what it says: who sees a state finds
        the timeline of that state."""
        with self._lock:
            row = self._work.audit.append(event, session_id=self.id, actor=actor, data=data)
            standing = self.standing.after(row, self._follow)
            if event == TRANSITION:
                self._work.write_timeline(standing, self.files)
            self.standing = standing

    def _note(self, note: str) -> None:
        self._append(NOTE, {"note": note})

    def _timer(self) -> StepTimer:
        return StepTimer(self._work.progress, self._give_up_if_asked)

    def _give_up_if_asked(self) -> None:
        with self._lock:
            if self._stop is None or not self._allowed("stop"):
                return  # what is being sent cannot be taken back
            (actor, reason), self._stop = self._stop, None
        raise SessionStopped(reason, actor=actor)
