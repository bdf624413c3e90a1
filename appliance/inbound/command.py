"""DIMSE command sets (PS3.7 section 9.3, annex E): a strict reader of requests, a writer of answers.

Command sets are implicit VR little endian, group 0000, a dozen short elements; they are read from an untrusted peer
before anything else, so the reader takes exactly that and nothing more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from appliance.inbound.pdu import AbortReason, ProtocolViolation

_ELEMENT = struct.Struct("<HHL")
_US = struct.Struct("<H")
_COMMENT_LENGTH = 64  # ErrorComment is LO (PS3.7 table E.1-1)

_AFFECTED_CLASS, _COMMAND, _MESSAGE_ID, _ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
_DATASET_TYPE, _STATUS, _COMMENT, _AFFECTED_INSTANCE = 0x0800, 0x0900, 0x0902, 0x1000
_NO_DATASET = 0x0101


class CommandField(IntEnum):
    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030


@dataclass(frozen=True)
class Request:
    field: CommandField
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_dataset: bool


def _broken(why: str) -> ProtocolViolation:
    return ProtocolViolation(f"a command set {why}", AbortReason.INVALID_PARAMETER)


def read_request(command: bytes | bytearray) -> Request:
    """Raises ProtocolViolation for what is no C-STORE-RQ or C-ECHO-RQ."""
    values: dict[int, bytes] = {}
    at = 0
    while at < len(command):
        if at + _ELEMENT.size > len(command):
            raise _broken("that is cut off")
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size
        if group != 0 or element in values or at + length > len(command):
            raise _broken("that is malformed")
        values[element] = bytes(command[at : at + length])
        at += length
    try:
        field = CommandField(_number(values, _COMMAND))
    except ValueError as error:
        raise _broken("of a service that is not offered") from error
    if field not in (CommandField.C_STORE_RQ, CommandField.C_ECHO_RQ):
        raise _broken("that answers what was not asked")
    return Request(
        field=field,
        message_id=_number(values, _MESSAGE_ID),
        sop_class_uid=_text(values, _AFFECTED_CLASS),
        sop_instance_uid=_text(values, _AFFECTED_INSTANCE),
        has_dataset=_number(values, _DATASET_TYPE) != _NO_DATASET,
    )


def _number(values: dict[int, bytes], element: int) -> int:
    if len(values.get(element, b"")) != _US.size:
        raise _broken("that lacks an element")
    return int(_US.unpack(values[element])[0])


def _text(values: dict[int, bytes], element: int) -> str:
    try:
        return values.get(element, b"").decode("ascii").strip(" \0")
    except UnicodeDecodeError as error:
        raise _broken("with a UID that is no text") from error


def write_answer(request: Request, status: int, comment: str = "") -> bytes:
    """The answer to `request`. `comment` is cut to 64 characters of ASCII."""
    answer = CommandField.C_STORE_RSP if request.field is CommandField.C_STORE_RQ else CommandField.C_ECHO_RSP
    elements = [
        (_AFFECTED_CLASS, _padded(request.sop_class_uid, b"\0")),
        (_COMMAND, _US.pack(answer)),
        (_ANSWERED_ID, _US.pack(request.message_id)),
        (_DATASET_TYPE, _US.pack(_NO_DATASET)),
        (_STATUS, _US.pack(status)),
    ]
    if comment:
        elements.append((_COMMENT, _padded(comment[:_COMMENT_LENGTH].replace("\\", "/"), b" ")))
    if request.field is CommandField.C_STORE_RQ:
        elements.append((_AFFECTED_INSTANCE, _padded(request.sop_instance_uid, b"\0")))
    body = b"".join(_ELEMENT.pack(0, element, len(value)) + value for element, value in elements)
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _padded(text: str, pad: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + pad * (len(value) % 2)
