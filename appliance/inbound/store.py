"""The durable store of received objects.

    STORE/lock           held while a process has the store open
    STORE/salt           key of the hashes in names and logs
    STORE/incoming/      *.part being received; swept at start
    STORE/objects/       <salted hash of the SOP Instance UID>.dcm, bytes as received behind a DICOM file header
    STORE/quarantine/    refused objects, each with the reason in JSON

Success is only ever answered after: whole file written, rules passed, fsync, rename, fsync of the folder, audit row.
A name never comes from a UID itself, so no UID can name a place outside the store.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import structlog
from pydantic import JsonValue

from appliance.audit import AuditLog
from appliance.contracts import Received
from appliance.dicomio.files import sync_folder
from appliance.errors import AuditError, DiskFull, RefusedObject, StoreBusy
from appliance.inbound.catalogue import Rule
from appliance.inbound.describe import StoredFile, describe, stored_row
from appliance.inbound.keys import Keys
from appliance.inbound.limits import Limits
from appliance.inbound.part10 import file_header, read_header
from appliance.inbound.partfile import PartFile, failure
from appliance.inbound.quarantine import Quarantine
from appliance.inbound.recovery import recover
from appliance.inbound.rules import check_new
from appliance.inbound.subject import Announced, Subject, is_uid, name_of, open_subject

_ROOM_CHECK_BYTES = 8 * 1024**2  # chosen: how much may be written between two looks at the free space
_AUDIT_RESERVE_BYTES = 4 * 1024**2  # chosen: below it refusals are not logged, to spare the log a full disk

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Accepted:
    """is_new is False where exactly this object was there already."""

    received: Received
    is_new: bool


class Incoming:
    """One object on its way in. Made by `ObjectStore.begin`; ends in `ObjectStore.accept` or `discard`."""

    def __init__(self, part: PartFile, announced: Announced, transfer_syntax: str, sender: str) -> None:
        self.part = part
        self.announced = announced
        self.transfer_syntax = transfer_syntax
        self.sender = sender
        self.offset = part.size
        self.next_room_check = _ROOM_CHECK_BYTES

    def discard(self) -> None:
        self.part.discard()


class ObjectStore:
    """Owns `root`. Thread-safe. imagers: of treatment machines (`check_new`). Raises StoreBusy if another process has
    it, AuditError, NodeError."""

    def __init__(
        self, root: Path, audit: AuditLog, *, limits: Limits | None = None, imagers: Sequence[str] = ()
    ) -> None:
        self.root = root
        self.limits = limits or Limits()
        self._imagers = imagers
        self._audit = audit
        self._changed = threading.Condition()
        self._in_flight: set[str] = set()
        try:
            self._folders()
            self._lock = _take_lock(root / "lock")
        except OSError as error:
            raise failure(error, root) from error
        try:
            self._keys = Keys.of_store(root / "salt")
            self._quarantine = Quarantine(root / "quarantine")
            self._index = recover(root, audit, self._keys, self._quarantine, self.limits, imagers=imagers)
        except OSError as error:
            self.close()
            raise failure(error, root) from error
        except BaseException:
            self.close()
            raise

    def _folders(self) -> None:
        for name in ("objects", "incoming", "quarantine"):
            (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(self.root)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> ObjectStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def received(self) -> tuple[Received, ...]:
        """Every accepted object, in order of arrival."""
        with self._changed:
            return tuple(sorted(self._index.values(), key=lambda item: item.received_at))

    def case_objects(self, patient_key: str) -> tuple[Received, ...]:
        """The patient's objects and whatever they refer to or are referred to by, in order of arrival: if a structure
        set of one patient refers to the images of another, both are here, and `assess` sees the contradiction."""
        every = self.received()
        own = {item.sop_instance_uid for item in every if item.patient_key == patient_key}
        wanted = own | {uid for item in every if item.sop_instance_uid in own for uid in item.references}
        return tuple(item for item in every if item.sop_instance_uid in wanted or not own.isdisjoint(item.references))

    def patient_key(self, patient_id: str) -> str:
        """The key that objects of this patient ID have in this store (`Received.patient_key`)."""
        return self._keys.of("patient", patient_id)

    def uid_key(self, uid: str) -> str:
        """The hash a UID has in this store's log rows and file names."""
        return self._keys.of("uid", uid)

    def begin(self, announced: Announced, transfer_syntax: str, *, sender: str, keep_free_bytes: int) -> Incoming:
        """Starts to receive. Raises DiskFull if the disk has no more than `keep_free_bytes` left."""
        self._demand_room(keep_free_bytes)
        part = PartFile(self.root / "incoming")
        try:
            if is_uid(announced.sop_instance_uid) and is_uid(announced.sop_class_uid):
                part.write(file_header(announced.sop_class_uid, announced.sop_instance_uid, transfer_syntax))
        except BaseException:
            part.discard()
            raise
        return Incoming(part, announced, transfer_syntax, sender)

    def write(self, incoming: Incoming, data: memoryview, *, keep_free_bytes: int) -> None:
        """Raises DiskFull, WriteFailed, or RefusedObject for an object beyond the largest size."""
        if incoming.part.size + len(data) > self.limits.object_bytes:
            raise RefusedObject(
                f"it is larger than {self.limits.object_bytes} bytes",
                what=name_of(incoming.announced.sop_class_uid),
                remedy="Send it in smaller objects",
                rule=Rule.TOO_LARGE.id,
            )
        if incoming.part.size > incoming.next_room_check:
            self._demand_room(keep_free_bytes)
            incoming.next_room_check += _ROOM_CHECK_BYTES
        incoming.part.write(data)

    def accept(self, incoming: Incoming) -> Accepted:
        """Checks the object and makes it durable. The file is gone or in its place afterwards, whatever happens.

        Raises RefusedObject (after quarantine and audit row), DiskFull, WriteFailed, AuditError.
        """
        try:
            subject = open_subject(
                incoming.part.mapped(),
                incoming.offset,
                transfer_syntax=incoming.transfer_syntax,
                announced=incoming.announced,
                name=name_of(incoming.announced.sop_class_uid),
                limits=self.limits,
            )
            check_new(subject, self._imagers)
            return self._commit(incoming, subject)
        except RefusedObject as refusal:
            self.refuse(incoming, refusal)
            raise
        finally:
            incoming.discard()

    def refuse(self, incoming: Incoming, refusal: RefusedObject) -> None:
        """Quarantine copy and audit row. Raises AuditError."""
        reason: dict[str, JsonValue] = {
            "rule": str(refusal.fields["rule"]),
            "what": str(refusal.fields["what"]),
            "reason": str(refusal.fields["reason"]),
            "remedy": str(refusal.fields["remedy"]),
            "sender": incoming.sender,
            "sop_class": incoming.announced.sop_class_uid if is_uid(incoming.announced.sop_class_uid) else "",
            "transfer_syntax": incoming.transfer_syntax,
            "uid": self.uid_key(incoming.announced.sop_instance_uid),
        }
        kept = self._quarantine.keep(incoming.part, reason)
        self._note("object.refused", {**reason, "quarantine": kept})

    def _commit(self, incoming: Incoming, subject: Subject) -> Accepted:
        uid = incoming.announced.sop_instance_uid
        with self._changed:
            self._changed.wait_for(lambda: uid not in self._in_flight)
            present = self._index.get(uid)
            if present is None:
                self._in_flight.add(uid)
        if present is not None:
            return self._again(incoming, present)
        try:
            received = self._store(incoming, subject)
            with self._changed:
                self._index[uid] = received
            return Accepted(received, is_new=True)
        finally:
            with self._changed:
                self._in_flight.discard(uid)
                self._changed.notify_all()

    def _store(self, incoming: Incoming, subject: Subject) -> Received:
        name = self.uid_key(incoming.announced.sop_instance_uid)
        path = self.root / "objects" / f"{name}.dcm"
        described = describe(subject, self._keys, StoredFile(path, incoming.part.sha256, 0))
        incoming.part.rename_durable(path)
        try:
            row = self._audit.append("object.stored", data=stored_row(described, incoming.part.size, incoming.sender))
        except AuditError:
            # No row, so not stored: the sender is told to keep the object.
            path.unlink(missing_ok=True)
            raise
        return replace(described, received_at=row.seq)

    def _again(self, incoming: Incoming, present: Received) -> Accepted:
        if incoming.part.sha256 != present.sha256 and not _same_object(incoming, present):
            raise RefusedObject(
                "another object with the same SOP Instance UID is already stored",
                what=name_of(incoming.announced.sop_class_uid),
                remedy="An object that was changed needs a new UID; the stored one was kept",
                rule=Rule.OTHER_BYTES.id,
            )
        self._audit.append("object.duplicate", data={"object": present.path.stem, "sender": incoming.sender})
        return Accepted(present, is_new=False)

    def _demand_room(self, keep_free_bytes: int) -> None:
        free = _free_bytes(self.root)
        if free <= keep_free_bytes:
            raise DiskFull(f"{free // 1024**2} MiB are free and {keep_free_bytes // 1024**2} MiB must stay free")

    def _note(self, event: str, data: Mapping[str, JsonValue]) -> None:
        if _free_bytes(self.root) < _AUDIT_RESERVE_BYTES:
            _log.error("not in the audit log for want of disk space", event_name=event, rule=data.get("rule"))
            return
        self._audit.append(event, data=data)

    def note_association(self, data: Mapping[str, JsonValue]) -> None:
        """Records an association that was turned away. Raises AuditError."""
        self._note("association.refused", data)


def _same_object(incoming: Incoming, present: Received) -> bool:
    """Equal datasets in the same transfer syntax, where only the file header differs (another release wrote it)."""
    stored = present.path.read_bytes()
    header = read_header(stored)
    if header is None or header.transfer_syntax != incoming.transfer_syntax:
        return False
    return stored[header.offset :] == incoming.part.mapped()[incoming.offset :]


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreBusy(str(path.parent)) from error
    return descriptor
