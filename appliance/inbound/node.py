"""The listening socket: accepts connections, gives each a thread, and survives whatever they do."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable

import structlog

from appliance.config import NodeConfig
from appliance.contracts import Received
from appliance.errors import AuditError, NodeError
from appliance.inbound.admission import Admission
from appliance.inbound.association import Connection, Services
from appliance.inbound.limits import Limits
from appliance.inbound.store import ObjectStore

_BACKLOG = 128
_STOP_S = 10.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = structlog.get_logger(__name__)


class StorageNode:
    """Storage and verification SCP.

    on_stored is called in the receiving thread after the sender was answered, once for each new object; it must be
    quick and may be called from several threads at once. tls: a server context, or None for plain DICOM.
    """

    def __init__(
        self,
        config: NodeConfig,
        store: ObjectStore,
        on_stored: Callable[[Received], None],
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._config = config
        self._limits = limits or Limits.for_node(
            idle_s=config.idle_timeout_s, pdu_bytes=config.maximum_pdu_bytes, associations=config.maximum_associations
        )
        self._admission = Admission(self._limits)
        self._services = Services(
            config, self._limits, store, self._admission, on_stored, _RefusalNotes(store).note, tls
        )
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port listened on (the configured one, or the one the system chose for 0)."""
        if self._listener is None:
            raise NodeError("it was not started")
        return int(self._listener.getsockname()[1])

    @property
    def alive(self) -> int:
        """Connections that have a thread now."""
        return self._admission.alive

    def start(self) -> None:
        """Raises NodeError if the address cannot be listened on."""
        self._listener = self._listen()
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="inbound", daemon=True)
        self._thread.start()
        _log.info("listening", ae_title=self._config.ae_title, bind=self._config.bind, port=self.port)

    def stop(self) -> None:
        """Stops listening and ends every connection; an object being checked or stored is finished first."""
        if self._listener is None or self._thread is None:
            return
        listener, self._listener = self._listener, None
        with contextlib.suppress(OSError):  # a system that does not let a listening socket be shut down
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self._thread.join(_STOP_S)
        self._admission.evict_all()
        deadline = time.monotonic() + _STOP_S
        while self._admission.alive and time.monotonic() < deadline:
            time.sleep(0.01)

    def _listen(self) -> socket.socket:
        bind, port = self._config.bind, self._config.port
        try:
            family = socket.getaddrinfo(bind or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            return socket.create_server((bind, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise NodeError(_why_not(error, bind, port)) from error

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, peer = listener.accept()
            except OSError as error:
                if self._listener is None:
                    return
                if error.errno in _EXHAUSTED:
                    _log.error("no resources for another connection", error=error.strerror)
                    time.sleep(0.1)
                continue
            self._welcome(connection, str(peer[0]))

    def _welcome(self, connection: socket.socket, address: str) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # A peer that vanished with our answer unacknowledged is given up after this, not after 15 minutes.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._limits.stall_s * 1000))
        except OSError:
            connection.close()
            return
        member = Connection(connection, address, self._services)
        if not self._admission.arrive(member):
            connection.close()
            return
        try:
            threading.Thread(target=member.run, name="association", daemon=True).start()
        except RuntimeError:
            _log.error("no thread for another connection")
            self._admission.leave(member)
            connection.close()


def _why_not(error: OSError, bind: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program; stop it or choose another port in the configuration"
    if error.errno == errno.EACCES:
        return f"port {port} may not be opened by this user; choose one above 1023"
    return f"the address {bind}:{port} cannot be listened on ({error.strerror or error})"


class _RefusalNotes:
    """Audit rows for refused associations, at most one a minute for the same peer and reason: a peer that tries all
    day must not fill the log."""

    _PERIOD_S = 60.0
    _REMEMBERED = 256

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._mutex = threading.Lock()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, *, address: str, calling_ae: str, why: str) -> None:
        now, key = time.monotonic(), (address, why)
        with self._mutex:
            last, held_back = self._last.get(key, (-self._PERIOD_S, 0))
            is_due = now - last >= self._PERIOD_S
            self._last.pop(key, None)
            self._last[key] = (now, 0) if is_due else (last, held_back + 1)
            if len(self._last) > self._REMEMBERED:
                self._last.pop(next(iter(self._last)))
        if not is_due:
            return
        _log.warning("association refused", address=address, calling_ae=calling_ae, why=why)
        try:
            self._store.note_association(
                {"address": address, "calling_ae": calling_ae, "reason": why, "held_back": held_back}
            )
        except AuditError as error:
            _log.error("not in the audit log", sentence=error.sentence)
