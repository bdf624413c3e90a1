"""Reading and writing protocol data units (PS3.8 section 9.3) from a socket, within limits of size and time.

The length field of a PDU is 32 bits and comes from the network: it is compared with what was agreed before a byte is
read or allocated. Every read has a deadline for the whole PDU, not for each piece, so a sender that drips a byte now
and then is cut off like one that is silent.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

_PREFIX = struct.Struct(">BBL")
_PDV_PREFIX = struct.Struct(">LBB")
_CHUNK = 64 * 1024


class PduType(IntEnum):
    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """PS3.8 table 9-26, for aborts by the service provider."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class ConnectionEnded(Exception):
    """The peer went away, or was too slow. Nothing can be answered. The text says which, for the log."""


class ProtocolViolation(Exception):
    """The peer broke the protocol; it is answered with an abort."""

    def __init__(self, why: str, reason: AbortReason) -> None:
        super().__init__(why)
        self.reason = reason


class Fragment(NamedTuple):
    """A presentation data value (PS3.8 annex E.2)."""

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview


class PduStream:
    """One connection. Not thread-safe. `bytes_per_s` is the slowest speed at which a PDU may arrive."""

    def __init__(self, connection: socket.socket, *, stall_s: float, bytes_per_s: int) -> None:
        self._socket = connection
        self._stall_s = stall_s
        self._bytes_per_s = bytes_per_s
        self._buffer = bytearray(_CHUNK)

    def read(self, *, wait_s: float, maximum_bytes: int, total_s: float | None = None) -> tuple[PduType, memoryview]:
        """The next PDU's type and what follows its length. The view is valid until the next read.

        wait_s: how long its first byte may take. total_s: how long all of it may, by default a time that a sender of
        the slowest speed keeps. Raises ConnectionEnded, ProtocolViolation.
        """
        started = time.monotonic()
        deadline = started + wait_s
        self._quick_acknowledge()
        self._fill(0, 1, deadline, allow_end=True)
        self._fill(1, _PREFIX.size, min(deadline, time.monotonic() + self._stall_s))
        kind, _, length = _PREFIX.unpack_from(self._buffer)
        try:
            pdu_type = PduType(kind)
        except ValueError as error:
            raise ProtocolViolation("an unknown kind of PDU", AbortReason.UNRECOGNIZED_PDU) from error
        if length > maximum_bytes:
            raise ProtocolViolation("a PDU longer than agreed", AbortReason.INVALID_PARAMETER)
        slowest = time.monotonic() + self._stall_s + length / self._bytes_per_s
        self._fill(0, length, slowest if total_s is None else started + total_s)
        return pdu_type, memoryview(self._buffer)[:length]

    def _fill(self, start: int, end: int, deadline: float, *, allow_end: bool = False) -> None:
        """Reads exactly bytes start..end of the buffer. It grows as data arrive, never by what was promised."""
        at = start
        while at < end:
            if at == len(self._buffer):
                grown = bytearray(min(end, 2 * at))  # a new one, since views of the old may still be in use
                grown[:at] = self._buffer
                self._buffer = grown
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise ConnectionEnded("silent or too slow")
            self._socket.settimeout(remaining)
            try:
                count = self._socket.recv_into(memoryview(self._buffer)[at : min(end, len(self._buffer))])
            except TimeoutError as error:
                raise ConnectionEnded("silent or too slow") from error
            except OSError as error:
                raise ConnectionEnded("the connection broke") from error
            if count == 0:
                raise ConnectionEnded("closed by the peer" if allow_end else "closed within a PDU")
            at += count

    def _quick_acknowledge(self) -> None:
        # A sender with Nagle's algorithm on (DCMTK and Orthanc as packaged) waits for our acknowledgement before it
        # sends the rest of its last piece; delayed by the kernel that costs 40 ms an image.
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError as error:
            raise ConnectionEnded("the connection broke") from error

    def send(self, data: bytes) -> None:
        """Raises ConnectionEnded."""
        try:
            self._socket.settimeout(self._stall_s)
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionEnded("the peer does not read its answers") from error

    def finish(self, farewell: bytes = b"", *, linger_s: float = 1.0) -> None:
        """Sends `farewell` and closes. Lets the peer read it first: closing on unread data would reset the
        connection and take the farewell with it."""
        deadline = time.monotonic() + linger_s
        try:
            self._socket.settimeout(linger_s)
            if farewell:
                self._socket.sendall(farewell)
            self._socket.shutdown(socket.SHUT_WR)
            while (remaining := deadline - time.monotonic()) > 0:
                self._socket.settimeout(remaining)
                if self._socket.recv_into(self._buffer) == 0:
                    break
        except OSError:
            # The peer is gone already; there is nobody to be polite to.
            pass
        finally:
            self._socket.close()


def fragments(body: memoryview) -> Iterator[Fragment]:
    """The presentation data values of a P-DATA-TF. Raises ProtocolViolation."""
    at = 0
    while at < len(body):
        if at + _PDV_PREFIX.size > len(body):
            raise ProtocolViolation("a broken presentation data value", AbortReason.INVALID_PARAMETER)
        length, context_id, control = _PDV_PREFIX.unpack_from(body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):
            raise ProtocolViolation("a broken presentation data value", AbortReason.INVALID_PARAMETER)
        yield Fragment(context_id, bool(control & 1), bool(control & 2), body[at + _PDV_PREFIX.size : end])
        at = end


def data_pdus(context_id: int, command: bytes) -> bytes:
    """A command set as one P-DATA-TF. Ours take about 200 bytes; no peer may agree on less than that."""
    value = _PDV_PREFIX.pack(len(command) + 2, context_id, 0b11) + command
    return _PREFIX.pack(PduType.DATA, 0, len(value)) + value


def release_answer() -> bytes:
    return _PREFIX.pack(PduType.RELEASE_RP, 0, 4) + bytes(4)


def abort(reason: AbortReason) -> bytes:
    """A-ABORT by the service provider (source 2)."""
    return _PREFIX.pack(PduType.ABORT, 0, 4) + bytes((0, 0, 2, reason))
