"""The DICOM file header (PS3.10 section 7): written before what was received, and found in files that have one."""

from __future__ import annotations

import io
from typing import NamedTuple

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_partial
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from appliance.inbound.structure import Buffer

# A UID under the root 2.25, derived once from a random UUID (PS3.5 B.2); it names this implementation.
IMPLEMENTATION_CLASS_UID = "2.25.158779011064795251667962882538490443669"
IMPLEMENTATION_VERSION = "COUCHSIDE_1"
_PREAMBLE = b"\0" * 128 + b"DICM"
_META_LIMIT = 64 * 1024  # chosen: file meta information takes a few hundred bytes; private information may be added


class Header(NamedTuple):
    """offset: where the dataset starts."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    offset: int


def file_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Depends on nothing but its arguments, so an object received twice becomes the same file twice."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    buffer = DicomBytesIO()
    buffer.write(_PREAMBLE)
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return bytes(buffer.getvalue())


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
