"""Reading the store again at start, after whatever ended the last process.

Three things can disagree: what the log says was stored, which files are there, and what is in them.
- A row and its file, with the hash of the row: the object is back.
- A file without a row: the process ended before it could answer. It is checked anew as on arrival, and gets its row, or
  goes to quarantine. Its sender was never told Success and will send again, which is harmless.
- A file whose hash is not the row's: altered on disk; quarantined, never used.
- A row without a file: an acknowledged object is lost. It is recorded once; the case it belongs to will be incomplete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from appliance.audit import AuditLog
from appliance.contracts import Received
from appliance.errors import RefusedObject
from appliance.inbound.catalogue import Rule
from appliance.inbound.describe import StoredFile, describe, stored_row
from appliance.inbound.keys import Keys
from appliance.inbound.limits import Limits
from appliance.inbound.part10 import has_header, read_header
from appliance.inbound.partfile import SUFFIX
from appliance.inbound.quarantine import Quarantine
from appliance.inbound.rules import check, check_new
from appliance.inbound.subject import Announced, Subject, name_of, open_subject

_log = structlog.get_logger(__name__)


def read_stored(path: Path, data: bytes, limits: Limits) -> Subject:
    """The object in a file of the store, judged by the rules that hold of what is stored. Raises RefusedObject."""
    header = read_header(data) if has_header(data) else None
    if header is None:
        raise RefusedObject(
            "its DICOM file header is damaged",
            what=f"The stored file {path.name}",
            remedy="Send the object again",
            rule=Rule.STRUCTURE.id,
        )
    subject = open_subject(
        data,
        header.offset,
        transfer_syntax=header.transfer_syntax,
        announced=Announced(header.sop_class_uid, header.sop_instance_uid),
        name=name_of(header.sop_class_uid),
        limits=limits,
    )
    check(subject)
    return subject


def recover(
    root: Path, audit: AuditLog, keys: Keys, quarantine: Quarantine, limits: Limits, *, imagers: Sequence[str]
) -> dict[str, Received]:
    """The index of the store, by SOP Instance UID. imagers: as `check_new` takes them. Raises AuditError, NodeError,
    OSError."""
    for part in (root / "incoming").glob(f"*{SUFFIX}"):
        part.unlink()
        _log.info("swept an unfinished file", file=part.name)
    return _Recovery(root / "objects", audit, keys, quarantine, limits).run(imagers)


class _Recovery:
    def __init__(self, folder: Path, audit: AuditLog, keys: Keys, quarantine: Quarantine, limits: Limits) -> None:
        self.folder = folder
        self.audit = audit
        self.keys = keys
        self.quarantine = quarantine
        self.limits = limits
        # object name -> (hash it was stored with, number of the row); None once it was recorded as gone.
        self.rows: dict[str, tuple[str, int] | None] = {}

    def run(self, imagers: Sequence[str]) -> dict[str, Received]:
        for row in self.audit.rows():
            if row.event == "object.stored":
                self.rows[str(row.data["object"])] = (str(row.data["sha256"]), row.seq)
            elif row.event in ("object.missing", "object.altered"):
                self.rows[str(row.data["object"])] = None
        index = {}
        files = sorted(self.folder.glob("*.dcm"))
        for path in files:
            if (received := self._read(path, imagers)) is not None:
                index[received.sop_instance_uid] = received
        present = {path.stem for path in files}
        for name, stored in self.rows.items():
            if stored is not None and name not in present:
                _log.error("a stored object is missing", object=name)
                self.audit.append("object.missing", data={"object": name, "sha256": stored[0]})
        return index

    def _read(self, path: Path, imagers: Sequence[str]) -> Received | None:
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        row = self.rows.get(path.stem)
        if row is not None and row[0] != sha256:
            self._away(path, "object.altered", "its bytes are not those that were stored")
            return None
        try:
            subject = read_stored(path, data, self.limits)
            if row is None:
                check_new(subject, imagers)
        except RefusedObject as refusal:
            self._away(path, "object.altered" if row else "object.refused", str(refusal.fields["reason"]))
            return None
        received = describe(subject, self.keys, StoredFile(path, sha256, 0))
        if row is not None:
            return replace(received, received_at=row[1])
        adopted = self.audit.append("object.stored", data={**stored_row(received, len(data), ""), "recovered": True})
        return replace(received, received_at=adopted.seq)

    def _away(self, path: Path, event: str, reason: str) -> None:
        kept = self.quarantine.keep_file(path, {"object": path.stem, "reason": reason})
        self.rows[path.stem] = None
        self.audit.append(event, data={"object": path.stem, "reason": reason, "quarantine": kept})
        _log.error("a stored object cannot be used", object=path.stem, reason=reason)
