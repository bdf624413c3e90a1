"""One connection from its first byte to its last: association, messages, release (PS3.8 section 9.2, as acceptor).

pynetdicom's own server runs three threads and a polling loop for each connection, counts silent connections as
associations, reads without a deadline and believes any PDU length; fifteen port-scanner hits lock it out for half a
minute. So only its codecs are used here (see `negotiation.py`), under a reading loop of one thread with deadlines,
which writes each fragment straight to disk and never holds an object in memory.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.config import NodeConfig
from appliance.contracts import Received
from appliance.errors import AuditError, CouchsideError, DiskFull, NodeError, RefusedObject
from appliance.inbound import pdu
from appliance.inbound.admission import Admission
from appliance.inbound.catalogue import OUT_OF_RESOURCES, STATUS_OF_RULE, SUCCESS, Rule
from appliance.inbound.command import CommandField, Request, read_request, write_answer
from appliance.inbound.limits import Limits
from appliance.inbound.negotiation import TOO_MANY, Rejection, agree, judge, read_proposal, reject
from appliance.inbound.pdu import AbortReason, ConnectionEnded, Fragment, PduStream, PduType, ProtocolViolation
from appliance.inbound.store import Incoming, ObjectStore
from appliance.inbound.subject import Announced, name_of

_log = structlog.get_logger(__name__)


class TurnedAway(Protocol):
    """Told of every association that was refused."""

    def __call__(self, *, address: str, calling_ae: str, why: str) -> None: ...


@dataclass(frozen=True)
class Services:
    """What every connection of a node shares."""

    config: NodeConfig
    limits: Limits
    store: ObjectStore
    admission: Admission
    on_stored: Callable[[Received], None]
    turned_away: TurnedAway
    tls: ssl.SSLContext | None = None

    @property
    def keep_free_bytes(self) -> int:
        return self.config.minimum_free_mb * 1024**2


class _Message:
    """A message being received: first the command, then the dataset."""

    def __init__(self, context_id: int) -> None:
        self.context_id = context_id
        self.command = bytearray()
        self.request: Request | None = None
        self.incoming: Incoming | None = None
        self.failure: CouchsideError | None = None
        self.started = time.monotonic()
        self.received_bytes = 0

    def fail(self, failure: CouchsideError) -> None:
        """The rest of the dataset is read and dropped, then the failure answered."""
        self.failure = failure
        self.discard()

    def discard(self) -> None:
        if self.incoming is not None:
            self.incoming.discard()
            self.incoming = None


class Connection:
    """Serves one peer in the thread that calls `run`."""

    def __init__(self, connection: socket.socket, address: str, services: Services) -> None:
        self._socket = connection
        self.address = address
        self._services = services
        self._limits = services.limits
        self._contexts: dict[int, tuple[str, str]] = {}
        self._message: _Message | None = None
        self._calling_ae = ""
        self._is_evicted = False
        self._stream = self._stream_on(connection)

    def _stream_on(self, connection: socket.socket) -> PduStream:
        return PduStream(connection, stall_s=self._limits.stall_s, bytes_per_s=self._limits.bytes_per_s)

    def evict(self) -> None:
        """From another thread: the reading thread sees the end of the stream, says farewell and ends."""
        self._is_evicted = True
        with contextlib.suppress(OSError):  # closed already: that is what was wanted
            # The method of the plain socket: that of a TLS socket would tear its state from under the reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def run(self) -> None:
        """Returns when the connection is over; raises nothing."""
        farewell = b""
        try:
            farewell = self._serve()
        except ConnectionEnded as ended:
            farewell = pdu.abort(AbortReason.NOT_SPECIFIED)
            _log.info("connection ended", address=self.address, why=str(ended), evicted=self._is_evicted)
        except ProtocolViolation as violation:
            farewell = pdu.abort(violation.reason)
            _log.warning("association aborted", address=self.address, why=str(violation))
        except Exception as error:  # noqa: BLE001 - the guard of this thread; the text of an unknown error may hold data
            farewell = pdu.abort(AbortReason.NOT_SPECIFIED)
            _log.error("association failed", address=self.address, error=type(error).__name__)
        finally:
            if self._message is not None:
                self._message.discard()
            self._services.admission.ending(self)
            self._stream.finish(farewell)
            self._services.admission.leave(self)

    def _serve(self) -> bytes:
        """The whole life of an association; returns the last words."""
        self._secure()
        kind, body = self._stream.read(
            wait_s=self._limits.request_s, maximum_bytes=self._limits.request_bytes, total_s=self._limits.request_s
        )
        if kind is not PduType.ASSOCIATE_RQ:
            raise ProtocolViolation("something else before an association", AbortReason.UNEXPECTED_PDU)
        rejection = self._associate(body)
        if rejection is not None:
            return reject(rejection)
        while True:
            kind, body = self._next()
            if kind is PduType.DATA:
                for fragment in pdu.fragments(body):
                    self._take(fragment)
            elif kind is PduType.RELEASE_RQ and self._message is None:
                return pdu.release_answer()
            elif kind is PduType.ABORT:
                return b""
            else:
                raise ProtocolViolation("a PDU that does not belong here", AbortReason.UNEXPECTED_PDU)

    def _secure(self) -> None:
        if self._services.tls is None:
            return
        self._socket.settimeout(self._limits.handshake_s)
        try:
            self._socket = self._services.tls.wrap_socket(self._socket, server_side=True)
        except OSError as error:
            raise ConnectionEnded("no TLS handshake") from error
        self._stream = self._stream_on(self._socket)

    def _associate(self, body: memoryview) -> Rejection | None:
        config = self._services.config
        proposal = read_proposal(body)
        rejection = judge(proposal, ae_title=config.ae_title, allowed_calling_ae=config.allowed_calling_ae)
        if rejection is None and not self._services.admission.associate(self):
            rejection = TOO_MANY
        if rejection is not None:
            self._services.turned_away(address=self.address, calling_ae=proposal.calling_ae, why=rejection.why)
            return rejection
        agreement = agree(proposal, maximum_pdu_bytes=self._limits.pdu_bytes)
        self._contexts = agreement.contexts
        self._calling_ae = proposal.calling_ae
        self._stream.send(agreement.answer)
        return None

    def _next(self) -> tuple[PduType, memoryview]:
        message = self._message
        if message is None:
            self._services.admission.resting(self)
            return self._stream.read(wait_s=self._limits.idle_s, maximum_bytes=self._limits.pdu_bytes)
        allowed_s = self._limits.idle_s + message.received_bytes / self._limits.bytes_per_s
        if time.monotonic() - message.started > allowed_s:
            raise ConnectionEnded("silent or too slow")
        return self._stream.read(wait_s=self._limits.stall_s, maximum_bytes=self._limits.pdu_bytes)

    def _take(self, fragment: Fragment) -> None:
        if self._message is None:
            self._services.admission.working(self)
            self._message = _Message(fragment.context_id)
        message = self._message
        message.received_bytes += len(fragment.data)
        if fragment.context_id != message.context_id or fragment.context_id not in self._contexts:
            raise ProtocolViolation("a presentation context that was not agreed", AbortReason.UNEXPECTED_PARAMETER)
        if fragment.is_command != (message.request is None):
            raise ProtocolViolation("command and dataset out of order", AbortReason.UNEXPECTED_PARAMETER)
        if fragment.is_command:
            self._take_command(message, fragment)
        else:
            self._take_dataset(message, fragment)

    def _take_command(self, message: _Message, fragment: Fragment) -> None:
        if len(message.command) + len(fragment.data) > self._limits.command_bytes:
            raise ProtocolViolation("a command set that is too long", AbortReason.INVALID_PARAMETER)
        message.command += fragment.data
        if not fragment.is_last:
            return
        request = message.request = read_request(message.command)
        abstract, _ = self._contexts[message.context_id]
        is_echo = request.field is CommandField.C_ECHO_RQ
        if is_echo != (abstract == Verification) or is_echo == request.has_dataset:
            raise ProtocolViolation("a request that does not fit its context", AbortReason.UNEXPECTED_PARAMETER)
        if is_echo:
            self._answer(message, SUCCESS)
        else:
            self._begin(message, request)

    def _begin(self, message: _Message, request: Request) -> None:
        abstract, transfer_syntax = self._contexts[message.context_id]
        announced = Announced(request.sop_class_uid, request.sop_instance_uid)
        try:
            message.incoming = self._services.store.begin(
                announced, transfer_syntax, sender=self._calling_ae, keep_free_bytes=self._services.keep_free_bytes
            )
        except NodeError as failure:
            message.fail(failure)
            return
        if request.sop_class_uid != abstract:
            message.failure = RefusedObject(
                "it was announced as another SOP class than the association agreed on",
                what=name_of(abstract),
                remedy="Send it again",
                rule=Rule.CLASS_MISMATCH.id,
            )

    def _take_dataset(self, message: _Message, fragment: Fragment) -> None:
        if message.incoming is not None:
            try:
                self._services.store.write(
                    message.incoming, fragment.data, keep_free_bytes=self._services.keep_free_bytes
                )
            except (NodeError, RefusedObject) as failure:
                message.fail(failure)
        if fragment.is_last:
            self._finish(message)

    def _finish(self, message: _Message) -> None:
        """Stores or refuses, answers, and only then tells the session."""
        accepted = None
        try:
            if message.failure is not None:
                self._refuse(message, message.failure)
            elif message.incoming is not None:
                accepted = self._services.store.accept(message.incoming)
            status, comment = SUCCESS, ""
        except RefusedObject as refusal:
            status = STATUS_OF_RULE[str(refusal.fields["rule"])]
            comment = f"{refusal.fields['rule']}: {refusal.fields['reason']}"
            _log.warning("object refused", rule=refusal.fields["rule"], sender=self._calling_ae)
        except (NodeError, AuditError) as failure:
            status = OUT_OF_RESOURCES
            comment = "disk space is short" if isinstance(failure, DiskFull) else "the store cannot be written"
            _log.error("object not stored", key=failure.key, sentence=failure.sentence)
        try:
            self._answer(message, status, comment)
        finally:
            if accepted is not None and accepted.is_new:
                self._services.on_stored(accepted.received)

    def _refuse(self, message: _Message, failure: CouchsideError) -> None:
        """Raises `failure`, after quarantine if there is something to keep."""
        if message.incoming is not None and isinstance(failure, RefusedObject):
            self._services.store.refuse(message.incoming, failure)
        raise failure

    def _answer(self, message: _Message, status: int, comment: str = "") -> None:
        if message.request is not None:
            answer = write_answer(message.request, status, comment)
            self._stream.send(pdu.data_pdus(message.context_id, answer))
        message.discard()
        self._message = None
