"""What one peer may ask of the node. Every figure is our own choice, for the reason beside it.

Peers in use (storescp, Orthanc, pynetdicom as shipped) are locked out for more than 75 s by fifty silent connections
or a handful stalled within a PDU, and believe a PDU length of 4 GiB; these limits are what the tests in
`tests/inbound/test_abuse.py` hold us to.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Times in seconds, sizes in bytes. Tests shorten the times; nothing else should.

    request_s: from connecting to a whole A-ASSOCIATE-RQ. A real peer sends it at once; ten seconds spare a bad line.
    handshake_s: TLS handshake.
    stall_s: nothing arrives within a PDU or between the PDUs of a message.
    idle_s: nothing arrives between messages (from the configuration).
    yield_s: an association idle for longer gives up its place when another peer needs it.
    bytes_per_s: slowest sender that is served; a slower one holds a place for hours with a byte now and then.
    pending: connections that have not yet asked for an association, in all; the oldest of the address with most gives
        way, so a scanner displaces itself.
    associations, associations_per_address: three quarters to one address keep a place free for the others.
    threads: connections alive at all, a backstop; beyond it a new connection is closed unanswered.
    request_bytes: A-ASSOCIATE-RQ; 128 contexts with a dozen transfer syntaxes each take under 64 KiB.
    command_bytes: the command set of a C-STORE-RQ has under 400 bytes.
    object_bytes: one DICOM object; a dose grid of 512 x 512 x 500 x 32 bit is half of it.
    elements: data elements in one object; a large structure set has a tenth.
    depth: nesting of sequences; RT objects nest 5 deep.
    """

    request_s: float = 10.0
    handshake_s: float = 5.0
    stall_s: float = 10.0
    idle_s: float = 60.0
    yield_s: float = 5.0
    bytes_per_s: int = 32 * 1024
    pdu_bytes: int = 131072
    pending: int = 32
    associations: int = 16
    associations_per_address: int = 12
    threads: int = 128
    request_bytes: int = 256 * 1024
    command_bytes: int = 16 * 1024
    object_bytes: int = 1024**3
    elements: int = 2_000_000
    depth: int = 16

    @staticmethod
    def for_node(*, idle_s: float, pdu_bytes: int, associations: int) -> Limits:
        return Limits(
            idle_s=idle_s,
            pdu_bytes=pdu_bytes,
            associations=associations,
            associations_per_address=max(1, associations * 3 // 4),
        )
