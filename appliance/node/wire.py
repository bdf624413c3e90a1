"""The lines on the control socket: one JSON object a line, one answer a request.

    {"command": "status"}
    {"command": "approve", "session": ID, "identity": NAME, "passphrase": TEXT, "acknowledge": TEXT}
    {"command": "reject" | "choose-scheduled", "session": ID, "reason": TEXT, "identity": NAME}
    {"command": "revise", "session": ID, "edits": [EDIT, ...], "identity": NAME}    (contracts.edit, as JSON)
    {"command": "stop", "session": ID, "reason": TEXT}
    {"command": "retry", "session": ID}
    {"command": "guidelines", "act": "install" | "activate" | "rollback" | "trust", ...}    (guideline_acts)
    {"command": "attach", "patient_id": TEXT, "notes": [PATH, ...], "prior": [PATH, ...], "clear": "yes" or ""}

    {"ok": true, ...}    or    {"ok": false, "error": KEY, "fields": {...}, "sentence": TEXT}

The socket is STORE/control.sock, mode 0600: whoever may open it may act on the store anyway.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from appliance.errors import CouchsideError, NodeError

SOCKET_NAME = "control.sock"
MAXIMUM_LINE = 1 << 20
"""Bytes. Chosen, because a status of a few thousand sessions fits and nothing else comes near it."""

Message = dict[str, JsonValue]


@contextmanager
def socket_address(store: Path) -> Iterator[str]:
    """The socket's path through a descriptor of its folder: a Unix socket address holds 107 bytes, a store's path may
    be longer. Raises NodeError if the store is not there."""
    try:
        folder = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NodeError(
            f"there is no store at {store} ({error.strerror}); start it with 'couchside serve', or use --store"
        ) from error
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_NAME}"
    finally:
        os.close(folder)


def send_message(connection: socket.socket, message: Message) -> None:
    connection.sendall(json.dumps(message, ensure_ascii=False).encode() + b"\n")


def read_message(connection: socket.socket) -> Message | None:
    """None at the end of the stream. Raises NodeError for anything that is not one JSON object on one line."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            break
        line += part
        if len(line) > MAXIMUM_LINE:
            raise NodeError("a line on the control socket is too long")
    if not line:
        return None
    try:
        message = json.loads(line)
    except ValueError as error:
        raise NodeError("a line on the control socket is not JSON") from error
    if not isinstance(message, dict):
        raise NodeError("a line on the control socket is not a JSON object")
    return message


def refusal(error: CouchsideError) -> Message:
    fields: Message = {name: str(value) for name, value in error.fields.items()}
    return {"ok": False, "error": error.key, "fields": fields, "sentence": error.sentence}


def error_of(answer: Message) -> CouchsideError:
    """The error a refusal stands for, of its own class, so that it leads to the same sentence and exit code."""
    fields = answer.get("fields")
    kind = next((kind for kind in _tree(CouchsideError) if kind.key == answer.get("error")), CouchsideError)
    error = kind.__new__(kind)
    CouchsideError.__init__(error, **{str(k): str(v) for k, v in (fields if isinstance(fields, dict) else {}).items()})
    return error


def _tree(kind: type[CouchsideError]) -> Iterator[type[CouchsideError]]:
    for child in kind.__subclasses__():
        if "key" in vars(child):
            yield child
        yield from _tree(child)
