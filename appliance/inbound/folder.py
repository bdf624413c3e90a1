"""Reading a folder of DICOM files by the same rules as the network: for headless use, without a store."""

from __future__ import annotations

import atexit
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from appliance.contracts import Received
from appliance.errors import IncompleteCase, RefusedObject
from appliance.inbound.catalogue import Rule
from appliance.inbound.describe import StoredFile, describe
from appliance.inbound.keys import Keys
from appliance.inbound.limits import Limits
from appliance.inbound.part10 import Header, file_header, has_header, read_header
from appliance.inbound.rules import check_new
from appliance.inbound.structure import BrokenStructure, walk
from appliance.inbound.subject import Announced, open_subject

_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage (PS3.4 annex I)
_DOCUMENTS = {
    EncapsulatedPDFStorage: "a document",
    BasicTextSRStorage: "a report",
    EnhancedSRStorage: "a report",
    ComprehensiveSRStorage: "a report",
    Comprehensive3DSRStorage: "a report",
}
"""What lies beside a plan, in our own folders of results too, and is no part of a case."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class FolderContents:
    """notes: files that were passed over, each with the reason."""

    received: tuple[Received, ...]
    notes: tuple[str, ...]


def read_folder(folder: Path) -> tuple[Received, ...]:
    """Every DICOM object in the folder and below, in order of file names. Files that are no DICOM are passed over.

    Raises RefusedObject naming the file, IncompleteCase if there is no object at all.
    """
    contents = scan_folder(folder)
    for note in contents.notes:
        _log.info("passed over", note=note)
    return contents.received


def scan_folder(folder: Path, *, imagers: Sequence[str] = ()) -> FolderContents:
    """As `read_folder`, with its notes. imagers: of treatment machines (`check_new`)."""
    return scan_folders(folder, imagers=imagers)[0]


def scan_folders(*folders: Path, imagers: Sequence[str] = ()) -> tuple[FolderContents, ...]:
    """Several folders with one set of keys, so that the objects of one can be compared with those of another."""
    keys = Keys.fresh()
    return tuple(_scan(folder, keys, imagers) for folder in folders)


def _scan(folder: Path, keys: Keys, imagers: Sequence[str]) -> FolderContents:
    if not folder.is_dir():
        raise IncompleteCase(f"there is no folder {folder}", remedy="Name the folder that holds the DICOM files")
    reader = _Reader(keys, imagers)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        reader.read(path, path.relative_to(folder))
    if not reader.received:
        raise IncompleteCase(
            f"the folder {folder} holds no DICOM object", remedy="Name the folder that holds CT and structure set"
        )
    return FolderContents(tuple(reader.received.values()), tuple(reader.notes))


class _Reader:
    def __init__(self, keys: Keys, imagers: Sequence[str]) -> None:
        self.received: dict[str, Received] = {}
        self.notes: list[str] = []
        self._names: dict[str, Path] = {}
        self._digests: dict[str, str] = {}
        self._keys, self._imagers = keys, imagers
        self._limits = Limits()

    def read(self, path: Path, name: Path) -> None:
        data = _bytes_of(path, name)
        header = _header_of(data, name, self._limits)
        if header is None or header.sop_class_uid == _DIRECTORY_CLASS:
            self.notes.append(f"{name}: {'no DICOM object' if header is None else 'a DICOM directory'}")
            return
        if header.sop_class_uid in _DOCUMENTS:
            self.notes.append(f"{name}: {_DOCUMENTS[UID(header.sop_class_uid)]}")
            return
        is_named = bool(header.sop_instance_uid or header.sop_class_uid)
        subject = open_subject(
            data,
            header.offset,
            transfer_syntax=header.transfer_syntax,
            announced=Announced(header.sop_class_uid, header.sop_instance_uid) if is_named else None,
            name=str(name),
            limits=self._limits,
        )
        check_new(subject, self._imagers)
        uid = subject.text("SOPInstanceUID")
        digest = hashlib.sha256(memoryview(data)[header.offset :]).hexdigest()
        if uid in self.received:
            self._again(uid, digest, name)
            return
        if not has_header(data):
            data = file_header(subject.text("SOPClassUID"), uid, header.transfer_syntax) + data
            path = _headed_copy(data)
        stored = StoredFile(path, hashlib.sha256(data).hexdigest(), len(self.received) + 1)
        self.received[uid] = describe(subject, self._keys, stored)
        self._names[uid], self._digests[uid] = name, digest

    def _again(self, uid: str, digest: str, name: Path) -> None:
        if digest != self._digests[uid]:
            raise RefusedObject(
                f"it has the SOP Instance UID of {self._names[uid]} but other content",
                what=str(name),
                remedy="Remove the one that is wrong",
                rule=Rule.OTHER_BYTES.id,
            )
        self.notes.append(f"{name}: the same object as {self._names[uid]}")


def _bytes_of(path: Path, name: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedObject(
            f"it cannot be read ({error.strerror})",
            what=str(name),
            remedy="Check the permissions and the disk",
            rule=Rule.STRUCTURE.id,
        ) from error


def _header_of(data: bytes, name: Path, limits: Limits) -> Header | None:
    """Of a file with a header, that; of a bare dataset, its encoding; of anything else None."""
    if has_header(data):
        header = read_header(data)
        if header is None:
            raise RefusedObject(
                "its DICOM file header is damaged",
                what=str(name),
                remedy="Export it again",
                rule=Rule.STRUCTURE.id,
            )
        return header
    # A bare dataset starts with an element of group 0008 (PS3.3: every object has a SOP Class UID, 0008,0016).
    if data[:2] != b"\x08\x00":
        return None
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        try:
            walk(data, 0, is_implicit=syntax == ImplicitVRLittleEndian, limits=limits)
        except BrokenStructure:
            continue
        return Header("", "", str(syntax), 0)
    raise RefusedObject(
        "it starts like a DICOM dataset but does not parse to its end",
        what=str(name),
        remedy="It was probably cut off; export it again, or remove it from the folder",
        rule=Rule.STRUCTURE.id,
    )


def _headed_copy(data: bytes) -> Path:
    """Those who read on expect a file header; the folder given to us is not written to. Gone when the process ends."""
    folder = _copies()
    path = folder / f"{hashlib.sha256(data).hexdigest()}.dcm"
    path.write_bytes(data)
    return path


_COPIES: list[tempfile.TemporaryDirectory[str]] = []


def _copies() -> Path:
    if not _COPIES:
        _COPIES.append(tempfile.TemporaryDirectory(prefix="couchside-"))
        atexit.register(_COPIES[0].cleanup)
    return Path(_COPIES[0].name)
