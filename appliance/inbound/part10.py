"""The DICOM file header (PS3.10 section 7): written before what was received, and found in files that have one."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

from pydicom.filereader import read_partial

from appliance.inbound.structure import Buffer

# A UID under the root 2.25, derived once from a random UUID (PS3.5 B.2); it names this implementation.
IMPLEMENTATION_CLASS_UID = "2.25.158779011064795251667962882538490443669"
IMPLEMENTATION_VERSION = "COUCHSIDE_1"
_PREAMBLE = b"\0" * 128 + b"DICM"
_SHORT = struct.Struct("<HH2sH")  # explicit VR little endian (PS3.5 7.1.2)
_LONG = struct.Struct("<HH2sHL")
_META_LIMIT = 64 * 1024  # chosen: file meta information takes a few hundred bytes; private information may be added


class Header(NamedTuple):
    """offset: where the dataset starts."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    offset: int


def file_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Depends on nothing but its arguments, so an object received twice becomes the same file twice."""
    elements = b"".join(
        (
            _LONG.pack(2, 0x0001, b"OB", 0, 2) + b"\0\1",
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_instance_uid),
            _element(0x0010, b"UI", transfer_syntax),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION),
        )
    )
    return _PREAMBLE + _SHORT.pack(2, 0x0000, b"UL", 4) + struct.pack("<L", len(elements)) + elements


def _element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return _SHORT.pack(2, element, vr, len(value)) + value


def has_header(data: Buffer) -> bool:
    return data[128:132] == b"DICM"


def read_header(data: Buffer) -> Header | None:
    """None if the file meta information cannot be read. Only for data that `has_header`."""
    try:
        stream = io.BytesIO(data[:_META_LIMIT])
        meta = read_partial(stream, stop_when=lambda tag, _vr, _length: tag >> 16 != 2, force=True).file_meta
        syntax, length = str(meta.TransferSyntaxUID), int(meta.FileMetaInformationGroupLength)
        named = str(meta.get("MediaStorageSOPClassUID", "")), str(meta.get("MediaStorageSOPInstanceUID", ""))
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, NotImplementedError, EOFError):
        return None
    # (0002,0000) UL takes 12 bytes in explicit VR after the preamble of 132.
    return Header(*named, syntax, 132 + 12 + length)
