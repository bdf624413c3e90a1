"""Answering an A-ASSOCIATE-RQ (PS3.8 section 9.3.2 to 9.3.4, PS3.7 annex D): who may connect, what they may send."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.inbound.catalogue import ACCEPTED_CLASSES, NATIVE_SYNTAXES, syntaxes_for
from appliance.inbound.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from appliance.inbound.pdu import AbortReason, ProtocolViolation

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_PREFIX = struct.Struct(">BBL")
# What pynetdicom's decoders raise for bytes that are no A-ASSOCIATE-RQ.
_UNDECODABLE = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, struct.error)


@dataclass(frozen=True)
class Rejection:
    """PS3.8 table 9-21: result, source, reason; and what the log calls it."""

    result: int
    source: int
    reason: int
    why: str


NO_SUCH_CALLED_AE = Rejection(1, 1, 7, "wrong called AE title")
UNKNOWN_CALLING_AE = Rejection(1, 1, 3, "unknown calling AE title")
NO_SUCH_CONTEXT = Rejection(1, 1, 2, "unknown application context")
NO_SUCH_PROTOCOL = Rejection(1, 2, 2, "unknown protocol version")
TOO_MANY = Rejection(2, 3, 2, "too many associations")


@dataclass(frozen=True)
class Agreement:
    """answer: the A-ASSOCIATE-AC. contexts: accepted presentation context id -> (abstract, transfer syntax)."""

    answer: bytes
    contexts: dict[int, tuple[str, str]]


def _offered() -> list[PresentationContext]:
    storage = [build_context(UID(uid), [UID(ts) for ts in syntaxes_for(uid)]) for uid in ACCEPTED_CLASSES]
    return [*storage, build_context(Verification, [UID(ts) for ts in NATIVE_SYNTAXES])]


_OFFERED = _offered()


@dataclass(frozen=True)
class Proposal:
    """A decoded A-ASSOCIATE-RQ. AE titles are printable text."""

    called_ae: str
    calling_ae: str
    protocol_version: int
    primitive: A_ASSOCIATE


def read_proposal(body: memoryview) -> Proposal:
    """`body` is the PDU after its length. Raises ProtocolViolation for what cannot be decoded."""
    encoded = _PREFIX.pack(1, 0, len(body)) + bytes(body)
    try:
        pdu = A_ASSOCIATE_RQ()
        pdu.decode(encoded)
        primitive = pdu.to_primitive()
        for context in primitive.presentation_context_definition_list:
            if context.abstract_syntax is None or not context.transfer_syntax:
                raise ValueError("a presentation context without syntaxes")
        version = int(pdu.protocol_version)
        called, calling = str(primitive.called_ae_title), str(primitive.calling_ae_title)
    except _UNDECODABLE as error:
        raise ProtocolViolation("an association request that cannot be read", AbortReason.INVALID_PARAMETER) from error
    return Proposal(_printable(called), _printable(calling), version, primitive)


def _printable(title: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in title.strip())[:16]


def judge(proposal: Proposal, *, ae_title: str, allowed_calling_ae: tuple[str, ...]) -> Rejection | None:
    """None if this peer may associate with us."""
    if not proposal.protocol_version & 1:
        return NO_SUCH_PROTOCOL
    if proposal.primitive.application_context_name != _APPLICATION_CONTEXT:
        return NO_SUCH_CONTEXT
    if proposal.called_ae != ae_title.strip():
        return NO_SUCH_CALLED_AE
    if allowed_calling_ae and proposal.calling_ae not in allowed_calling_ae:
        return UNKNOWN_CALLING_AE
    return None


def agree(proposal: Proposal, *, maximum_pdu_bytes: int) -> Agreement:
    """Accepts what is offered of what is proposed; a peer that proposes nothing of it may still associate."""
    request = proposal.primitive
    results, _ = negotiate_as_acceptor(request.presentation_context_definition_list, _OFFERED)
    answer = A_ASSOCIATE()
    answer.application_context_name = UID(_APPLICATION_CONTEXT)
    answer.called_ae_title = request.called_ae_title
    answer.calling_ae_title = request.calling_ae_title
    answer.result = 0
    answer.result_source = 1
    answer.presentation_context_definition_results_list = results
    length = MaximumLengthNotification()
    length.maximum_length_received = maximum_pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    answer.user_information = [length, implementation, version]
    contexts = {
        int(context.context_id or 0): (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in results
        if context.result == 0
    }
    return Agreement(bytes(A_ASSOCIATE_AC(answer).encode()), contexts)


def reject(rejection: Rejection) -> bytes:
    """The A-ASSOCIATE-RJ."""
    pdu = A_ASSOCIATE_RJ()
    pdu.result, pdu.source, pdu.reason_diagnostic = rejection.result, rejection.source, rejection.reason
    return bytes(pdu.encode())
