"""What a hostile, broken or merely slow peer may cost: its own connection, and nobody else's place.

The first figures in the names are those of the probes that lock other nodes out for more than 75 s. Times are shortened
by `QUICK`; the node's own are in `limits.py`. Other peers are other addresses of the loopback network.
"""

from __future__ import annotations

import random
import struct
import threading
import time
from dataclasses import replace

import psutil
import pytest

from appliance.inbound import Limits

QUICK = Limits(request_s=0.8, handshake_s=0.6, stall_s=0.5, idle_s=0.9, yield_s=0.2, bytes_per_s=1024 * 1024)
SERVED_S = 2.0  # a legitimate peer is associated within this, whatever others do


def _is_served(raw, port, source="127.0.0.9") -> float:
    """Seconds until a legitimate peer at another address has associated and released."""
    start = time.monotonic()
    peer = raw(port, source)
    assert peer.associate() == 2
    peer.send(struct.pack(">BBL4x", 5, 0, 4))
    assert peer.receive()[0] == 6
    return time.monotonic() - start


def _ends(peer, within_s: float) -> float:
    """Seconds until the node closed the connection."""
    start = time.monotonic()
    peer.socket.settimeout(within_s)
    while peer.receive()[0]:
        pass
    return time.monotonic() - start


def _settles(node, within_s=5.0):
    deadline = time.monotonic() + within_s
    while node.node.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    assert node.node.alive == 0


def test_50_silent_connections_lock_nobody_out_and_are_closed(raw, running):
    node = running(limits=QUICK)
    silent = [raw(node.port) for _ in range(50)]
    assert _is_served(raw, node.port) < SERVED_S
    assert _is_served(raw, node.port, "127.0.0.1") < SERVED_S
    assert max(_ends(peer, 3.0) for peer in silent) < 3.0
    _settles(node)


def test_20_connections_that_send_3_bytes_lock_nobody_out(raw, running):
    node = running(limits=QUICK)
    mute = [raw(node.port) for _ in range(20)]
    for peer in mute:
        peer.send(b"\x01\x00\x00")
    assert _is_served(raw, node.port) < SERVED_S
    assert max(_ends(peer, 3.0) for peer in mute) < 3.0
    _settles(node)


def test_50_idle_associations_leave_a_place_for_another_address(raw, running):
    limits = replace(QUICK, yield_s=1.5, idle_s=3.0)  # none gives way while the fifty are being made
    node = running(limits=limits)
    answers = []
    for _ in range(50):
        peer = raw(node.port)
        answers.append(peer.associate())
    assert answers.count(2) == limits.associations_per_address
    assert set(answers) == {2, 3}
    assert _is_served(raw, node.port) < SERVED_S
    time.sleep(limits.yield_s + 0.05)
    # An idle association gives way even to its own address.
    assert _is_served(raw, node.port, "127.0.0.1") < SERVED_S
    _settles(node, 10)


def test_idle_association_is_aborted(raw, running):
    node = running(limits=QUICK)
    peer = raw(node.port)
    assert peer.associate() == 2
    assert peer.receive()[0] == 7
    _settles(node)


def test_5_stalled_within_a_pdu_are_cut_and_leave_no_debris(raw, running):
    node = running(limits=QUICK)
    stalled = [raw(node.port) for _ in range(5)]
    for peer in stalled:
        assert peer.associate() == 2
        peer.send(raw.store_command("1.2.3") + struct.pack(">BBL", 4, 0, 100_000) + b"\0" * 500)
    assert _is_served(raw, node.port) < SERVED_S
    assert max(_ends(peer, 5.0) for peer in stalled) < 5.0
    _settles(node)
    assert node.files("incoming") == [] == node.files("objects")


def test_a_byte_now_and_then_does_not_keep_a_place(raw, running):
    node = running(limits=QUICK)
    peer = raw(node.port)
    peer.associate()
    peer.send(raw.store_command("1.2.3") + struct.pack(">BBL", 4, 0, 100_000))
    start = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - start < 5:
            peer.send(b"\0")
            time.sleep(0.05)
    assert time.monotonic() - start < 3
    _settles(node)


def test_small_pdus_now_and_then_do_not_keep_a_place(raw, running):
    node = running(limits=QUICK)
    peer = raw(node.port)
    peer.associate()
    peer.send(raw.store_command("1.2.3"))
    start = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - start < 6:
            peer.send(raw.data_pdu(b"\0\0", is_command=False, is_last=False))
            time.sleep(0.2)
    assert time.monotonic() - start < 4
    _settles(node)


def test_15_port_scanner_hits_disturb_nobody(raw, running):
    node = running(limits=QUICK)
    for _ in range(15):
        scanner = raw(node.port)
        scanner.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        scanner.close()
    assert _is_served(raw, node.port, "127.0.0.1") < SERVED_S
    _settles(node)


@pytest.mark.parametrize("is_associated", [False, True], ids=["request", "data"])
def test_length_of_4_gib_is_aborted_without_reading_it(raw, running, is_associated):
    node = running(limits=QUICK)
    peer = raw(node.port)
    if is_associated:
        assert peer.associate() == 2
        peer.send(raw.store_command("1.2.3"))
    before = psutil.Process().memory_info().rss
    peer.send(struct.pack(">BBL", 4 if is_associated else 1, 0, 0xFFFFFFFF))
    assert peer.receive()[0] == 7
    # The peer's own data are not awaited, and nothing near the announced length is allocated.
    assert psutil.Process().memory_info().rss - before < 8 * 1024**2
    _settles(node)


def test_pdu_one_byte_longer_than_agreed_is_aborted_and_one_as_agreed_is_read(raw, running, study, dataset_bytes):
    limits = Limits(pdu_bytes=4096, stall_s=1.0)
    node = running(limits=limits)
    image = study.ct(0)
    peer = raw(node.port)
    assert peer.associate() == 2
    assert peer.store(dataset_bytes(image), image.SOPInstanceUID, piece=4096 - 6)[0] == 0
    peer.send(raw.store_command("1.2.3") + raw.data_pdu(bytes(4096 - 5), is_command=False, is_last=False))
    assert peer.receive()[0] == 7


@pytest.mark.parametrize("how", ["close", "reset", "abort", "release"])
def test_message_cut_off_leaves_nothing(raw, running, study, dataset_bytes, how):
    node = running(limits=QUICK)
    image = study.ct(0)
    peer = raw(node.port)
    assert peer.associate() == 2
    half = dataset_bytes(image)[:400]
    peer.send(raw.store_command(image.SOPInstanceUID) + raw.data_pdu(half, is_command=False, is_last=False))
    if how == "reset":
        peer.socket.setsockopt(6, 1, 1)
        peer.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER 0: close() resets
    elif how == "abort":
        peer.send(struct.pack(">BBL4x", 7, 0, 4))
    elif how == "release":
        peer.send(struct.pack(">BBL4x", 5, 0, 4))
        assert peer.receive()[0] == 7
    peer.close()
    _settles(node)
    assert node.files("incoming") == [] == node.files("objects")
    assert node.events("object.stored") == []


def test_stalled_tls_handshakes_block_nobody(raw, running, tls_context):
    server, client = tls_context
    node = running(limits=QUICK, tls=server)
    stalled = [raw(node.port) for _ in range(10)]
    start = time.monotonic()
    good = raw(node.port, "127.0.0.9")
    good.socket = client.wrap_socket(good.socket, server_hostname="127.0.0.1")
    assert good.associate() == 2
    assert time.monotonic() - start < SERVED_S
    good.close()
    assert max(_ends(peer, 3.0) for peer in stalled) < 3.0
    _settles(node)


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory):
    import datetime
    import ipaddress
    import ssl

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=path)


def test_300_malformed_messages_are_survived(raw, running, study, dataset_bytes):
    """Random bytes, and mutations of a request, a command and a dataset, seeded; a good peer is served throughout."""
    node = running(limits=QUICK)
    source = random.Random(20260301)
    image = study.ct(0)
    request = raw.request()
    command = raw.store_command(image.SOPInstanceUID)
    data = raw.data_pdu(dataset_bytes(image), is_command=False, is_last=True)
    before = threading.active_count()
    for round_number in range(300):
        peer = raw(node.port, f"127.0.0.{2 + round_number % 5}")
        kind = round_number % 4
        try:
            if kind == 0:
                peer.send(source.randbytes(source.randint(1, 300)))
            else:
                messages = [request, command, data]
                messages[kind - 1] = _mutated(messages[kind - 1], source)
                for message in messages[:kind]:
                    peer.send(message)
        except ConnectionError:
            pass
        peer.close()
        if round_number % 60 == 59:
            assert _is_served(raw, node.port) < SERVED_S
    _settles(node)
    time.sleep(0.2)
    assert threading.active_count() <= before + 1
    assert node.files("incoming") == []
    # The store holds the object whole or not at all.
    for item in node.store.received():
        assert item.path.read_bytes().endswith(dataset_bytes(image)[-64:])


def _mutated(message: bytes, source: random.Random) -> bytes:
    changed = bytearray(message)
    for _ in range(source.randint(1, 6)):
        changed[source.randrange(len(changed))] = source.randrange(256)
    return bytes(changed[: source.randint(1, len(changed))] if source.random() < 0.3 else changed)


def test_128_presentation_contexts_are_negotiated(running):
    from pynetdicom import AE
    from pynetdicom.sop_class import CTImageStorage, RTPlanStorage

    node = running()
    peer = AE("MANY")
    for number in range(128):
        peer.add_requested_context([CTImageStorage, RTPlanStorage][number % 2] if number < 2 else f"1.2.826.9.{number}")
    association = peer.associate("127.0.0.1", node.port, ae_title="COUCHSIDE")
    assert association.is_established
    assert len(association.accepted_contexts) == 2
    association.release()


def test_requests_out_of_place_are_aborted(raw, running):
    node = running(limits=QUICK)
    find = raw.command_set({0x0002: b"1.2.840.10008.5.1.4.1.2.1.1\0", 0x0100: struct.pack("<H", 0x20),
                            0x0110: struct.pack("<H", 1), 0x0800: struct.pack("<H", 1)})  # fmt: skip
    for message in (
        raw.data_pdu(find, is_command=True, is_last=True),
        raw.data_pdu(b"\x08\0", is_command=False, is_last=True),
        raw.data_pdu(bytes(100_000)[:60_000], is_command=True, is_last=False),
        raw.store_command("1.2.3") + raw.store_command("1.2.3"),
        raw.store_command("1.2.3")[:6] + struct.pack(">L", 3) + raw.store_command("1.2.3")[10:],
        raw.request(),
        raw.data_pdu(b"", is_command=True, is_last=True, context_id=99),
    ):
        peer = raw(node.port)
        assert peer.associate() == 2
        peer.send(message)
        assert peer.receive()[0] == 7
    _settles(node)
