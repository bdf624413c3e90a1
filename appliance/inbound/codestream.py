"""Rows and columns that a compressed image says it has, read from its code stream without decoding it.

Decoders of compressed images are large and written in C; a receiver that feeds them whatever the network sends risks
its life. The few bytes that carry the size are enough to refuse a stream that is truncated or belongs to another
image; decoding happens later, outside the receiving thread.
"""

from __future__ import annotations

import struct

# ISO/IEC 10918-1 table B.1 (SOF0-SOF15 without DHT, JPG, DAC) and ISO/IEC 14495-1 C.1.1 (SOF55 of JPEG-LS).
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_JPEG_END = b"\xff\xd9"
_J2K_START = b"\xff\x4f\xff\x51"
_RLE_HEADER = struct.Struct("<16L")


class BrokenCodestream(ValueError):
    """The compressed pixel data cannot be what they are said to be."""


def jpeg_size(stream: bytes, *, most_bits: int = 16) -> tuple[int, int]:
    """(rows, columns) of a JPEG or JPEG-LS stream of at most `most_bits` bits. Raises BrokenCodestream."""
    if not stream.startswith(b"\xff\xd8"):
        raise BrokenCodestream("no JPEG start marker")
    if _JPEG_END not in stream[-4:]:
        raise BrokenCodestream("no JPEG end marker")
    at = 2
    while at + 9 <= len(stream):
        if stream[at] != 0xFF:
            raise BrokenCodestream("no JPEG marker where one must be")
        marker = stream[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            bits, rows, columns = struct.unpack_from(">BHH", stream, at + 4)
            if bits > most_bits:
                raise BrokenCodestream(f"more than {most_bits} bits in this encoding cannot be decoded")
            return rows, columns
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    raise BrokenCodestream("no JPEG frame header")


def jpeg2000_size(stream: bytes) -> tuple[int, int]:
    """(rows, columns) of a JPEG 2000 code stream (ISO/IEC 15444-1 A.5.1, SIZ). Raises BrokenCodestream."""
    if not stream.startswith(_J2K_START) or len(stream) < 24:
        raise BrokenCodestream("no JPEG 2000 start marker")
    if _JPEG_END not in stream[-4:]:
        raise BrokenCodestream("no JPEG 2000 end marker")
    right, bottom, left, top = struct.unpack_from(">4L", stream, 8)
    return bottom - top, right - left


def check_rle(stream: bytes, *, segments: int) -> None:
    """PS3.5 annex G: the header holds the number of segments and their offsets in rising order inside the stream."""
    if len(stream) < _RLE_HEADER.size:
        raise BrokenCodestream("no RLE header")
    count, *offsets = _RLE_HEADER.unpack_from(stream)
    if count != segments:
        raise BrokenCodestream("the RLE header does not fit the image")
    used = offsets[:segments]
    if used[0] != _RLE_HEADER.size or sorted(set(used)) != used or used[-1] >= len(stream):
        raise BrokenCodestream("the RLE segments do not fit the data")
