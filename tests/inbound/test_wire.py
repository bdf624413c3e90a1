"""Our own codecs against those of pydicom and pynetdicom, and the reading of PDUs from a socket."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_RELEASE_RP, P_DATA_TF

from appliance.inbound import pdu
from appliance.inbound.command import CommandField, Request, read_request, write_answer
from appliance.inbound.negotiation import TOO_MANY, agree, judge, read_proposal, reject
from appliance.inbound.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, file_header, read_header
from appliance.inbound.pdu import AbortReason, ConnectionEnded, PduStream, PduType, ProtocolViolation

CT = "1.2.840.10008.5.1.4.1.1.2"
UIDS = st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(lambda parts: "1." + ".".join(map(str, parts)))


@given(UIDS, UIDS)
def test_file_header_is_the_one_pydicom_writes(sop_class, instance):
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, instance
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
    expected = DicomBytesIO()
    write_file_meta_info(expected, meta)
    ours = file_header(sop_class, instance, "1.2.840.10008.1.2.1")
    assert ours == bytes(128) + b"DICM" + expected.getvalue()
    assert read_header(ours + b"\x08\0") == (sop_class, instance, "1.2.840.10008.1.2.1", len(ours))


@given(st.binary(max_size=300))
def test_damaged_headers_are_none_or_read_and_never_crash(noise):
    read_header(bytes(128) + b"DICM" + noise)


def _command(message, primitive) -> bytes:
    message.primitive_to_message(primitive)
    return b"".join(p.presentation_data_value_list[0][1][1:] for p in message.encode_msg(1, 65536))


def test_requests_of_pynetdicom_are_read():
    store = C_STORE()
    store.MessageID, store.AffectedSOPClassUID, store.AffectedSOPInstanceUID = 4711, CT, "1.2.3.4.5"
    store.Priority, store.DataSet = 2, io.BytesIO(b"")
    message = C_STORE_RQ()
    message.primitive_to_message(store)
    from pynetdicom.dsutils import encode

    message.command_set.CommandDataSetType = 1
    assert read_request(encode(message.command_set, True, True)) == Request(
        CommandField.C_STORE_RQ, 4711, CT, "1.2.3.4.5", True
    )
    echo = C_ECHO()
    echo.MessageID, echo.AffectedSOPClassUID = 1, "1.2.840.10008.1.1"
    assert read_request(_command(C_ECHO_RQ(), echo)).field is CommandField.C_ECHO_RQ


def test_answers_are_read_by_pynetdicom():
    request = Request(CommandField.C_STORE_RQ, 4711, CT, "1.2.3.4.5", True)
    answer = decode(io.BytesIO(write_answer(request, 0xC004, "why\\é" + "x" * 100)), True, True)
    message = C_STORE_RSP()
    message.command_set = answer
    assert (answer.CommandField, answer.MessageIDBeingRespondedTo, answer.Status) == (0x8001, 4711, 0xC004)
    assert (answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID) == (CT, "1.2.3.4.5")
    assert answer.ErrorComment == "why/?" + "x" * 59
    assert answer.CommandDataSetType == 0x0101


@given(st.binary(max_size=200))
def test_commands_of_random_bytes_are_refused(noise):
    with pytest.raises(ProtocolViolation):
        read_request(noise)


@given(st.binary(max_size=300))
def test_proposals_of_random_bytes_are_refused_or_judged(noise):
    try:
        proposal = read_proposal(memoryview(noise))
    except ProtocolViolation:
        return
    assert judge(proposal, ae_title="COUCHSIDE", allowed_calling_ae=()) is not None


def test_what_we_answer_is_decoded_by_pynetdicom(raw):
    proposal = read_proposal(memoryview(raw.request())[6:])
    assert judge(proposal, ae_title="COUCHSIDE", allowed_calling_ae=("RAWPEER",)) is None
    agreement = agree(proposal, maximum_pdu_bytes=131072)
    accepted = A_ASSOCIATE_AC()
    accepted.decode(agreement.answer)
    assert accepted.user_information.maximum_length == 131072
    assert agreement.contexts == {1: (CT, "1.2.840.10008.1.2.1")}
    rejected = A_ASSOCIATE_RJ()
    rejected.decode(reject(TOO_MANY))
    assert (rejected.result, rejected.source, rejected.reason_diagnostic) == (2, 3, 2)
    aborted = A_ABORT_RQ()
    aborted.decode(pdu.abort(AbortReason.UNEXPECTED_PDU))
    assert (aborted.source, aborted.reason_diagnostic) == (2, 2)
    A_RELEASE_RP().decode(pdu.release_answer())
    data = P_DATA_TF()
    data.decode(pdu.data_pdus(7, b"abcd"))
    [item] = data.presentation_data_value_items
    assert (item.context_id, item.data) == (7, b"\x03abcd")
    [fragment] = pdu.fragments(memoryview(pdu.data_pdus(7, b"abcd"))[6:])
    assert (fragment.context_id, fragment.is_command, fragment.is_last, bytes(fragment.data)) == (
        7,
        True,
        True,
        b"abcd",
    )


@given(st.binary(max_size=100))
def test_fragments_cover_the_pdu_or_are_refused(body):
    try:
        found = list(pdu.fragments(memoryview(body)))
    except ProtocolViolation:
        return
    assert sum(6 + len(fragment.data) for fragment in found) == len(body)


@pytest.fixture
def pair():
    here, there = socket.create_server(("127.0.0.1", 0)), None
    there = socket.create_connection(here.getsockname())
    connection, _ = here.accept()
    yield PduStream(connection, stall_s=0.3, bytes_per_s=1_000_000), there
    for each in (here, there, connection):
        each.close()


def test_pdus_are_read_whole_however_they_are_cut(pair):
    stream, there = pair
    bodies = [bytes([number]) * size for number, size in enumerate((0, 1, 70_000, 300_000, 5))]
    data = b"".join(struct.pack(">BBL", 4, 0, len(body)) + body for body in bodies)

    def send():
        for at in range(0, len(data), 7919):
            there.sendall(data[at : at + 7919])

    threading.Thread(target=send).start()
    for body in bodies:
        kind, found = stream.read(wait_s=2, maximum_bytes=300_000)
        assert (kind, bytes(found)) == (PduType.DATA, body)


@pytest.mark.parametrize("sent", [b"", b"\x04\0\0", b"\x04\0\0\0\0\x10abc"])
def test_silence_ends_the_reading_in_time(pair, sent):
    stream, there = pair
    there.sendall(sent)
    start = time.monotonic()
    with pytest.raises(ConnectionEnded, match="silent"):
        stream.read(wait_s=0.3, maximum_bytes=100)
    assert 0.25 < time.monotonic() - start < 0.9
