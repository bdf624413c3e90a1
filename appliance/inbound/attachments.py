"""Notes and earlier courses that people lay beside a patient's case, kept durably until the case is assembled.

    STORE/attachments/<salted hash of the patient ID>/notes/<first digits of SHA-256>.txt or .pdf
                                                     /prior/<first digits of SHA-256>.dcm
                                                     /stated.json: what a person said of the earlier course

A name never comes from outside: file names of notes often hold the patient's.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from appliance.contracts import Attachments, PriorStated
from appliance.dicomio.files import write_durable
from appliance.errors import RefusedInput, RefusedObject, WriteFailed
from appliance.inbound.part10 import has_header

NOTE_KINDS = (".txt", ".md", ".pdf")
LARGEST_NOTE_BYTES = 20 * 1024**2
"""Chosen: a scanned protocol of a hundred pages stays below; more is no note."""
LARGEST_OBJECT_BYTES = 1024**3
"""Chosen: as much as one DICOM object may have on the network by default."""
STATED_FILE = "stated.json"
_NAME_DIGITS = 16
_HEAD_BYTES = 1024


class AttachmentShelf:
    """Of one store. Thread-safe: files appear whole, under names made from their content."""

    def __init__(self, store: Path) -> None:
        self._root = store / "attachments"

    def add(
        self, patient_key: str, notes: Sequence[Path], prior: Sequence[Path], stated: PriorStated | None = None
    ) -> Attachments:
        """Copies the files; what was there stays, `stated` replaces what was said before. Returns all that the patient
        has now. Raises RefusedInput (nothing is copied), DiskFull, WriteFailed."""
        wanted = [(self._place(patient_key, path, "notes"), _read_note(path)) for path in notes]
        wanted += [(self._place(patient_key, path, "prior"), _read(path, LARGEST_OBJECT_BYTES)) for path in prior]
        for folder, data in wanted:
            name = hashlib.sha256(data).hexdigest()[:_NAME_DIGITS]
            write_durable(data, folder.with_name(name + folder.suffix))
        if stated is not None:
            write_durable(stated.to_json(), self._root / patient_key / STATED_FILE)
        return self.of(patient_key)

    def clear(self, patient_key: str) -> None:
        """Takes away all that the patient has here; sessions keep the copies that they judged. Raises WriteFailed."""
        folder = self._root / patient_key
        try:
            if patient_key and folder.is_dir():
                shutil.rmtree(folder)
        except OSError as error:
            raise WriteFailed(f"{folder} ({error.strerror})") from error

    def of(self, patient_key: str) -> Attachments:
        """In order of names, which says nothing; empty for a patient without any."""
        folder = self._root / patient_key
        if not patient_key or not folder.is_dir():
            return Attachments()
        said = folder / STATED_FILE
        stated = PriorStated.from_json(said.read_bytes()) if said.is_file() else PriorStated()
        notes, prior = (tuple(sorted((folder / kind).glob("[!.]*"))) for kind in ("notes", "prior"))
        return Attachments(notes, prior, stated)

    def _place(self, patient_key: str, path: Path, kind: str) -> Path:
        suffix = path.suffix.lower() if kind == "notes" else ".dcm"
        return self._root / patient_key / kind / f"x{suffix}"


def dicom_files(folder: Path) -> tuple[Path, ...]:
    """Every file of a folder of an earlier course, or the one file named. Raises RefusedInput if none is DICOM."""
    found = (folder,) if folder.is_file() else tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    if not any(_looks_like_dicom(path) for path in found):
        raise _refused(folder, "it holds no DICOM object", "Name the folder with the earlier course's DICOM files")
    return found


def _looks_like_dicom(path: Path) -> bool:
    """By its first bytes: a file header, or a bare dataset's first group. What is in it is read later."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEAD_BYTES)
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror})", "Check its permissions") from error
    return has_header(start) or start[:2] == b"\x08\x00"


def _read_note(path: Path) -> bytes:
    if path.suffix.lower() not in NOTE_KINDS:
        raise _refused(path, "it is neither text nor PDF", "Attach notes as .txt, .md or .pdf")
    return _read(path, LARGEST_NOTE_BYTES)


def _read(path: Path, largest_bytes: int) -> bytes:
    try:
        if path.stat().st_size > largest_bytes:
            raise _refused(path, f"it is larger than {largest_bytes // 1024**2} MiB", "Attach a smaller file")
        return path.read_bytes()
    except OSError as error:
        remedy = "Put it where the node may read it, and check its permissions"
        raise _refused(path, f"it cannot be read ({error.strerror})", remedy) from error


def _refused(path: Path, reason: str, remedy: str) -> RefusedInput:
    return RefusedObject(reason, what=path.name, remedy=remedy, rule="attachment")
