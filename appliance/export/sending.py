"""Sends an export set to its peer by C-STORE, and keeps trying while trying can help.

Retried, with growing pauses: no connection, an association refused for now, aborted or timed out, out of resources
(status 0xA7xx, PS3.4 table GG.4-1). Failed at once: everything that would be refused again. Sending again is harmless:
the same UIDs with the same bytes, and a peer that answers "duplicate" has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep

import pydicom
import pynetdicom._config
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeformableSpatialRegistrationStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ImplicitVRLittleEndian,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SpatialRegistrationStorage,
)
from pynetdicom import AE
from pynetdicom.association import Association

from appliance.config import PeerConfig
from appliance.contracts import ExportSet
from appliance.contracts.progress import Progress, silent
from appliance.errors import ExportError, NotApproved, ReadBackMismatch

pynetdicom._config.LOG_HANDLER_LEVEL = "none"  # its log lines hold UIDs

CONNECT_TIMEOUT_S = 10.0
"""For the TCP connection and for the answer to an association request; chosen, a peer on the same site needs < 1 s."""

ANSWER_TIMEOUT_S = 60.0
"""For the answer to one object; chosen, because an archive may write 100 MB to a slow disk before it answers."""

LONGEST_PAUSE_S = 60.0
"""Pauses double from the peer's retry_s up to this; chosen, so that a peer that comes back is met within a minute."""

MAXIMUM_PDU = 131072
"""Largest PDU we take; chosen, because larger ones gain nothing."""

VERIFICATION = UID("1.2.840.10008.1.1")
"""Verification SOP class (PS3.4 annex A)."""

KINDS = {RTPlanStorage: "RT Plan", RTDoseStorage: "RT Dose", RTStructureSetStorage: "RT Structure Set"}
DOCUMENTS = {EncapsulatedPDFStorage: "Encapsulated PDF", EnhancedSRStorage: "structured report"}
REGISTRATIONS = {
    SpatialRegistrationStorage: "Spatial Registration",
    DeformableSpatialRegistrationStorage: "Deformable Spatial Registration",
}
NAMES = KINDS | DOCUMENTS | REGISTRATIONS
SENT_WITHOUT = "The plan was sent without the {name}: {why}"
NOTHING_LOST = "Nothing was lost: the files stay where they are, and sending can be repeated"

STATUS_SUCCESS = 0x0000
STATUS_DUPLICATE = 0x0111
STATUS_OUT_OF_RESOURCES = 0xA7
STATUS_WARNING = 0xB
REJECTED_TRANSIENT = 0x02


class Outcome(Enum):
    STORED = "stored"
    TRY_AGAIN = "try again"
    REFUSED = "refused"


@dataclass(frozen=True)
class _Object:
    name: str
    dataset: Dataset


@dataclass
class _Cargo:
    """waiting: what the peer must still take, of `total`; beside: what it is offered after that."""

    waiting: list[_Object]
    beside: list[_Object]
    total: int

    @property
    def done(self) -> float:
        return (self.total - len(self.waiting)) / self.total


class _TryAgainError(Exception):
    """Something that may pass; its text is why, and ends up in the ExportError if it does not."""


def send(export_set: ExportSet, peer: PeerConfig, *, calling_ae: str, progress: Progress = silent) -> tuple[str, ...]:
    """Returns once the peer has confirmed every object but the registrations, with a sentence for each of those that it
    did not take: they are to look at, no plan rests on them, so they are offered once and last.

    Structures go first, then plan, doses and documents, so that what an object references is there before it.
    Raises NotApproved for a set of `write_unapproved_set`, ReadBackMismatch if a file is not the one that was read
    back, ExportError (which object, which peer, what to do) if the peer refuses an object for good or
    `peer.attempts` rounds did not bring all of them over.
    """
    cargo = _load(export_set, is_all=peer.send_registrations)
    reason = ""
    for attempt in range(peer.attempts):
        if attempt:
            _pause(min(peer.retry_s * 2 ** (attempt - 1), LONGEST_PAUSE_S), reason, cargo.done, progress)
        try:
            return _send_round(cargo, peer, calling_ae, progress)
        except _TryAgainError as error:
            reason = str(error)
    raise ExportError(
        f"after {peer.attempts} attempts {_peer_name(peer)} has not taken the {cargo.waiting[0].name} ({reason}). "
        f"Check that the peer runs and can be reached. {NOTHING_LOST}"
    )


def _load(export_set: ExportSet, *, is_all: bool) -> _Cargo:
    """The objects in the order they are sent. is_all: with the registrations. What the plan's own file says of its
    approval counts as well as the set's word for it: a set may come from a record on disk."""
    digest_of = dict(zip(export_set.files, export_set.sha256, strict=True))
    digest_of |= dict(zip(export_set.documents, export_set.document_sha256, strict=True))
    digest_of |= dict(zip(export_set.registrations, export_set.registration_sha256, strict=True))
    needed = (export_set.structures, export_set.plan, *export_set.doses, *export_set.documents)
    objects = []
    for path in (*needed, *(export_set.registrations if is_all else ())):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ExportError(f"{path.name} cannot be read ({error.strerror}); export the plan again") from error
        if hashlib.sha256(data).hexdigest() != digest_of[path]:
            raise ReadBackMismatch(f"{path.name} was changed after it was read back; export the plan again")
        dataset = pydicom.dcmread(BytesIO(data))
        objects.append(_Object(f"{NAMES[dataset.SOPClassUID]} {path.name}", dataset))
    if not export_set.approved or objects[1].dataset.get("ApprovalStatus") != "APPROVED":
        raise NotApproved("This set was written for looking at only; approve the plan in a session and export that")
    return _Cargo(objects[: len(needed)], objects[len(needed) :], len(needed))


def _pause(seconds: float, reason: str, done: float, progress: Progress) -> None:
    """Waits, telling why, in steps short enough for the caller to give up in between."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        progress(f"Waiting to send again: {reason}", done)
        sleep(min(left, 0.5))


def _send_round(cargo: _Cargo, peer: PeerConfig, calling_ae: str, progress: Progress) -> tuple[str, ...]:
    """One association; takes each object that was stored off `cargo.waiting`, and then offers the others."""
    progress(f"Connecting to {_peer_name(peer)}", cargo.done)
    association = _associate(peer, calling_ae, [item.dataset.SOPClassUID for item in (*cargo.waiting, *cargo.beside)])
    try:
        _verify(association, peer)
        while cargo.waiting:
            progress(f"Sending {cargo.waiting[0].name}", cargo.done)
            _store(association, cargo.waiting[0], peer)
            cargo.waiting.pop(0)
        progress("Offering the registrations" if cargo.beside else "Sent", cargo.done)
        notes = tuple(_offer(association, cargo.beside, peer))
    finally:
        if association.is_established:
            association.release()
    progress("Sent", 1.0)
    return notes


def _offer(association: Association, items: Sequence[_Object], peer: PeerConfig) -> Iterator[str]:
    """A sentence for each that the peer has not taken. One that it cannot take now, or that broke the association, is
    the last that it is asked."""
    for number, item in enumerate(items):
        try:
            _store(association, item, peer)
        except _TryAgainError as passing:
            yield from (SENT_WITHOUT.format(name=left.name, why=passing) for left in items[number:])
            return
        except ExportError as refusal:
            yield SENT_WITHOUT.format(name=item.name, why=refusal.fields["reason"])


def _associate(peer: PeerConfig, calling_ae: str, wanted: list[UID]) -> Association:
    """Proposes implicit VR little endian alone: every peer has to take it, and some take no other for RT objects."""
    entity = AE(ae_title=calling_ae)
    entity.connection_timeout = entity.acse_timeout = CONNECT_TIMEOUT_S
    entity.dimse_timeout = entity.network_timeout = ANSWER_TIMEOUT_S
    entity.maximum_pdu_size = MAXIMUM_PDU
    for sop_class in dict.fromkeys((VERIFICATION, *KINDS, *wanted)):
        entity.add_requested_context(sop_class, ImplicitVRLittleEndian)
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title)
    if association.is_established:
        return association
    if association.rejected_contexts:  # it answered, and wants nothing that we have
        raise ExportError(
            f"{_peer_name(peer)} takes no RT objects in implicit VR little endian, as every peer has to. Allow RT "
            f"Plan, RT Dose and RT Structure Set there. {NOTHING_LOST}"
        )
    if not association.is_rejected:
        raise _TryAgainError("it does not answer")
    answer = association.acceptor.primitive
    if answer is not None and answer.result == REJECTED_TRANSIENT:
        raise _TryAgainError("it is busy and refused the association for now")
    why = answer.reason_str if answer is not None else "no reason given"
    raise ExportError(
        f"{_peer_name(peer)} refused the association from '{calling_ae}' ({why}). Check the AE titles here and "
        f"the list of allowed senders there. {NOTHING_LOST}"
    )


def _verify(association: Association, peer: PeerConfig) -> None:
    """C-ECHO before the first object. A peer that accepts storage but no verification shows itself at the C-STORE."""
    if not any(context.abstract_syntax == VERIFICATION for context in association.accepted_contexts):
        return
    status = association.send_c_echo()
    if "Status" not in status:
        raise _TryAgainError("it stopped answering")
    if status.Status != STATUS_SUCCESS:
        raise ExportError(
            f"{_peer_name(peer)} answered the connection test with status 0x{status.Status:04X}. Look into the peer's "
            f"log. {NOTHING_LOST}"
        )


def _store(association: Association, item: _Object, peer: PeerConfig) -> None:
    if not any(context.abstract_syntax == item.dataset.SOPClassUID for context in association.accepted_contexts):
        raise ExportError(
            f"{_peer_name(peer)} does not take objects such as the {item.name}. Allow this kind of object there, or "
            f"choose another peer. {NOTHING_LOST}"
        )
    status = answer_to(association, item.dataset)
    if status is None:
        raise _TryAgainError("the association broke off or timed out")
    outcome = judge(status)
    if outcome is Outcome.TRY_AGAIN:
        raise _TryAgainError(f"it is out of resources, status 0x{status:04X}")
    if outcome is Outcome.REFUSED:
        raise ExportError(
            f"{_peer_name(peer)} refused the {item.name} with status 0x{status:04X}. Look into the peer's log "
            f"for the reason. {NOTHING_LOST}"
        )


def answer_to(association: Association, item: Dataset | Path) -> int | None:
    """The status that one C-STORE is answered with; None where no answer came, which says nothing about the object.

    No answer also means that pynetdicom lost it: its own thread may take an answer off the queue that the sending one
    waits for (pynetdicom 3.0.4, `Association._run_reactor`: it says that it is paused before it is). Seen under load.
    """
    try:
        status = association.send_c_store(item)
    except RuntimeError:  # it broke off since the last answer
        return None
    return int(status.Status) if "Status" in status else None


def judge(status: int) -> Outcome:
    """What a C-STORE status means for us (PS3.4 table GG.4-1; PS3.7 annex C). Warnings (0xBxxx) say that the object
    was stored; a duplicate has the UID we made, so it is our object from an earlier try."""
    if status in (STATUS_SUCCESS, STATUS_DUPLICATE) or status >> 12 == STATUS_WARNING:
        return Outcome.STORED
    return Outcome.TRY_AGAIN if status >> 8 == STATUS_OUT_OF_RESOURCES else Outcome.REFUSED


def _peer_name(peer: PeerConfig) -> str:
    return f"{peer.ae_title} ({peer.host}:{peer.port})"
