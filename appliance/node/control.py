"""The control socket: people on this machine reach the one process that may write."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from appliance.errors import CouchsideError, NodeError
from appliance.node.wire import SOCKET_NAME, Message, read_message, refusal, send_message, socket_address

REQUEST_S = 10.0
"""How long a client may take to send its line. Chosen, because clients are programs, not people."""

_log = structlog.get_logger(__name__)

Handler = Callable[[Message, str], Message]
"""(request, actor) -> answer; may raise CouchsideError."""


class ControlSocket:
    def __init__(self, store: Path, handle: Handler) -> None:
        self._store, self._handle = store, handle
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)

    def start(self) -> None:
        """Takes the place of a socket that a killed process left: the caller holds the store's lock, so nobody else
        listens on it. Raises NodeError."""
        before = os.umask(0o177)
        try:
            (self._store / SOCKET_NAME).unlink(missing_ok=True)
            with socket_address(self._store) as address:
                self._listener.bind(address)
            self._listener.listen(16)
        except OSError as error:
            raise NodeError(f"its control socket cannot be made in {self._store} ({error.strerror})") from error
        finally:
            os.umask(before)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):  # where it does not listen yet
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        (self._store / SOCKET_NAME).unlink(missing_ok=True)
        if self._thread.is_alive():
            self._thread.join(REQUEST_S)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._stopping.is_set():
                    return
                continue
            threading.Thread(target=self._serve, args=(connection,), name="control-request", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(REQUEST_S)
            try:
                request = read_message(connection)
                if request is not None:
                    send_message(connection, self._answer(request, _actor(connection)))
            except (OSError, NodeError) as error:
                _log.warning("a control request was not answered", reason=type(error).__name__)

    def _answer(self, request: Message, actor: str) -> Message:
        try:
            return {"ok": True} | self._handle(request, actor)
        except CouchsideError as error:
            return refusal(error)


def _actor(connection: socket.socket) -> str:
    """The user at the other end, by the kernel's word."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return f"uid {uid}"
