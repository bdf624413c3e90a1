"""The node as one object: store, log, sessions, network and control socket, started and stopped in order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import JsonValue, ValidationError

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.config import Config
from appliance.contracts import Edit, PriorStated
from appliance.contracts.edit import edits_from_json
from appliance.errors import ApprovalError, AuditError, CouchsideError, NodeError, RefusedEdit, SessionError
from appliance.inbound import AttachmentShelf, ObjectStore, StorageNode
from appliance.node.contour_acts import contour_act
from appliance.node.control import ControlSocket
from appliance.node.guideline_acts import perform
from appliance.node.intake import Intake
from appliance.node.runner import Runner
from appliance.node.wire import Message
from appliance.session import Session, next_state
from appliance.session_guidelines import GuidelineDesk
from appliance.session_record import replay
from appliance.session_stages import Stages
from appliance.session_work import Workplace

MakeStages = Callable[[Config, IdentityStore], Stages]

_Part = TypeVar("_Part")

MAXIMUM_REASON = 500
"""Characters of a reason somebody types. Chosen: a few sentences."""

_log = structlog.get_logger(__name__)


class Node:
    """`start` raises StoreBusy, NodeError or AuditError with nothing left running or locked."""

    def __init__(self, config: Config, make_stages: MakeStages) -> None:
        self._config, self._store_folder = config, config.node.store.absolute()
        self._make_stages = make_stages
        self._undo: list[Callable[[], None]] = []
        self.ended = threading.Event()
        self.failure: CouchsideError | None = None

    def start(self) -> None:
        try:
            self._start()
        except CouchsideError:
            self.stop()
            raise

    def _start(self) -> None:
        folder, node = self._store_folder, self._config.node.model_copy(update={"store": self._store_folder})
        _make_folder(folder)
        self._audit = self._keep(AuditLog.open(folder / "audit.sqlite"), AuditLog.close)
        store = self._keep(ObjectStore(folder, self._audit, imagers=self._config.anatomy.cbct_names), ObjectStore.close)
        self._patient_key, self._shelf = store.patient_key, AttachmentShelf(folder)
        self._identities = IdentityStore(folder / "identities")
        stages = self._make_stages(self._config, self._identities)
        intake = Intake(store, node.settle_s, self._open_session)
        self._runner = Runner(node, intake, checkpoint=self._audit.checkpoint, on_broken=self._broken)
        self._stages, self._workplace = stages, Workplace(self._audit, folder, self._runner.progress)
        standings = replay(self._audit.rows(), next_state)
        sessions = [Session(standing, stages, self._workplace) for standing in standings.values()]
        for session in sessions:
            session.files.sweep()
        self._storage = self._keep(StorageNode(node, store, self._runner.arrived), StorageNode.stop)
        self._storage.start()
        self._audit.append("node.started", data={"ae_title": node.ae_title, "port": self._storage.port})
        control = self._keep(ControlSocket(folder, self._handle), ControlSocket.stop)
        self._keep(self._runner, Runner.stop).start(sessions)
        control.start()

    def _keep(self, part: _Part, undo: Callable[[_Part], None]) -> _Part:
        """What was started last is stopped first."""
        self._undo.append(lambda: undo(part))
        return part

    @property
    def port(self) -> int:
        return self._storage.port

    def stop(self) -> None:
        """Orderly: finishes the object being stored, gives up the stage under way, closes the log. Harmless twice."""
        while self._undo:
            self._undo.pop()()

    def _broken(self, error: CouchsideError) -> None:
        """Work without a record must not go on: the node ends, and whoever started it says why."""
        _log.error("the node cannot go on", reason=error.sentence)
        self.failure = error
        self.ended.set()

    def _open_session(self, session_id: str, patient_key: str) -> Session:
        return Session.open(session_id, patient_key, self._stages, self._workplace)

    def _handle(self, request: Message, actor: str) -> Message:
        if request.get("command") == "status":
            return self.status()
        if request.get("command") == "attach":
            return self._attach(request, actor)
        try:
            if request.get("command") == "guidelines":
                return perform(GuidelineDesk(self._store_folder, self._audit, self._identities), request, actor)
            return self._act(request, actor)
        except AuditError as error:
            self._broken(error)
            raise

    def _act(self, request: Message, actor: str) -> Message:
        command = request.get("command")
        session = self.session(str(request.get("session")))
        reason = _text(request, "reason")[:MAXIMUM_REASON]
        if command == "approve":
            sessions = tuple(self._runner.sessions.values())
            if newer := self._runner.intake.newer_than(session, sessions):
                raise ApprovalError(newer)
            acknowledged = _text(request, "acknowledge")[:MAXIMUM_REASON]
            session.approve(_text(request, "identity"), _text(request, "passphrase"), acknowledged)
        elif command == "reject":
            session.reject(self._decider(request, actor), reason)
        elif command == "confirm-contours":
            session.confirm_contours(_text(request, "identity"), _text(request, "passphrase"), reason)
        elif command == "contours":
            return contour_act(session, request, self._decider(request, actor))
        elif command == "revise":
            session.revise(self._decider(request, actor), _edits(request))
        elif command == "choose-scheduled":
            session.choose_scheduled(self._decider(request, actor), reason)
        elif command == "stop":
            session.stop(actor, reason)
        elif command == "retry":
            session.retry(actor)
        else:
            raise NodeError("it was asked for something it does not know; use the couchside command of this release")
        self._runner.push(session.id)
        return {"session": self._describe(session)}

    def _decider(self, request: Message, actor: str) -> str:
        """The registered person a refusal is said to be of, beside the user who said so: told, not proved, because a
        refusal lets nothing out. Raises ApprovalError for a name that is not registered."""
        name = _text(request, "identity")
        if not name:
            return actor
        person = self._identities.find(name)
        return f"{person.name} ({person.role}), told by {actor}"

    def _attach(self, request: Message, actor: str) -> Message:
        """Raises RefusedInput, NodeError. The row names files by their hash, never as they were named."""
        key = self._patient_key(_text(request, "patient_id"))
        if not key:
            raise NodeError("no patient was named; give the patient ID that the case's DICOM objects have")
        if clear := bool(_text(request, "clear")):
            self._shelf.clear(key)
        notes, prior = ([Path(name) for name in _list(request, kind)] for kind in ("notes", "prior"))
        said = request.get("prior_fractions"), request.get("days_since")
        has = self._shelf.add(key, notes, prior, _stated(*said) if said != (None, None) else None)
        data: dict[str, JsonValue] = {"patient_key": key, "cleared": clear}
        data |= {"notes": [path.name for path in has.notes], "prior": [path.name for path in has.prior]}
        self._audit.append("attachments.added", actor=actor, data=data)
        return {"notes": len(has.notes), "prior": len(has.prior)}

    def session(self, session_id: str) -> Session:
        """Raises SessionError if there is none of this name."""
        session = self._runner.sessions.get(session_id)
        if session is None:
            raise SessionError(f"There is no session '{session_id}'; 'couchside sessions' lists them")
        return session

    def status(self) -> Message:
        node = self._config.node
        return {
            "node": {"ae_title": node.ae_title, "bind": node.bind, "port": self.port, "store": str(self._store_folder)},
            "sessions": [self._describe(session) for session in tuple(self._runner.sessions.values())],
        }

    def _describe(self, session: Session) -> Message:
        step, fraction = self._runner.step.get(session.id, ("", 0.0))
        held = self._runner.held.get(session.id) or self._runner.intake.waits_for.get(session.id, "")
        return session.standing.summary() | {"held": held, "step": step, "step_done": round(fraction, 3)}


def _text(request: Message, key: str) -> str:
    value = request.get(key, "")
    return value if isinstance(value, str) else ""


def _list(request: Message, key: str) -> list[str]:
    value = request.get(key, [])
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _edits(request: Message) -> tuple[Edit, ...]:
    """Raises RefusedEdit for what is no list of edits."""
    try:
        return edits_from_json(json.dumps(request.get("edits")))
    except ValidationError as error:
        raise RefusedEdit("an edit is not one that this release knows; use its own couchside command") from error


def _stated(fractions: JsonValue, days: JsonValue) -> PriorStated:
    """Raises NodeError for what is no number."""
    whole = fractions if isinstance(fractions, int) and fractions >= 0 else 0 if fractions is None else None
    since = float(days) if isinstance(days, int | float) and days >= 0 else None
    if whole is None or (days is not None and since is None):
        raise NodeError("fractions and days of the earlier course must be numbers of 0 or more")
    return PriorStated(whole, since)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NodeError(f"its store {folder} cannot be made ({error.strerror}); name another with --store") from error
