"""Check 'peers': does the system that approved plans are sent to answer a DICOM C-ECHO.

One association as our own AE title, proposing Verification alone (PS3.4 annex A), 3 s for connecting, for the
association and for the answer each. Degraded if it does not answer or refuses: plans can be made and approved, and
are kept until they can be sent.
"""

from __future__ import annotations

import time

from pydantic import JsonValue
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from appliance.config import Config
from appliance.health.result import Finding, Status

TIMEOUT_S = 3.0


def check(config: Config) -> Finding:
    peer = config.peer
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    ae = AE(ae_title=config.node.ae_title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT_S
    ae.add_requested_context(Verification)
    start = time.perf_counter()
    association = ae.associate(peer.host, peer.port, ae_title=peer.ae_title)
    try:
        if association.is_rejected:
            sentence = f"{where} refuses this node; enter {config.node.ae_title} there and check the AE titles."
            return Finding(Status.DEGRADED, sentence, {"peer": where, "rejected": True})
        if not association.is_established:
            sentence = f"{where} does not answer within {TIMEOUT_S:g} s; is it on, and are host and port right?"
            return Finding(Status.DEGRADED, sentence, {"peer": where, "rejected": False})
        status = association.send_c_echo()
        code = int(status.Status) if "Status" in status else None
    finally:
        if association.is_established:
            association.release()
    took_ms = round((time.perf_counter() - start) * 1e3, 1)
    detail: dict[str, JsonValue] = {"peer": where, "status": code, "milliseconds": took_ms}
    if code != 0x0000:
        said = "no status" if code is None else f"status 0x{code:04X}"
        return Finding(Status.DEGRADED, f"{where} answered the C-ECHO with {said}; look at its log.", detail)
    return Finding(Status.OK, f"{where} answered in {took_ms:.0f} ms.", detail)
