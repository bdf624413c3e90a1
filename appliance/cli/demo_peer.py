"""The demo's other side: a small PACS on loopback that pushes a case and receives the result, over real DICOM."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pynetdicom._config
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeformableSpatialRegistrationStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SpatialRegistrationStorage,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from appliance.contracts.progress import Progress
from appliance.dicomio.files import write_durable
from appliance.errors import NodeError
from appliance.export.sending import answer_to

pynetdicom._config.LOG_HANDLER_LEVEL = "none"  # its log lines hold UIDs

AE_TITLE = "DEMO-PACS"
NAMES: dict[UID, str] = {RTPlanStorage: "RP.dcm", RTDoseStorage: "RD.dcm", RTStructureSetStorage: "RS.dcm"}
REGISTRATIONS: dict[UID, str] = {
    SpatialRegistrationStorage: "REG.dcm",
    DeformableSpatialRegistrationStorage: "DEFORM.dcm",
}
"""Sent where today's anatomy was found, so not waited for."""
KINDS = (CTImageStorage, RTStructureSetStorage, RTPlanStorage, RTDoseStorage)
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
MAXIMUM_PDU = 131072
STORED, REFUSED = 0x0000, 0xC000
ANSWER_S = 30.0
"""For the answer to one object (chosen: our node answers a slice in milliseconds, on a busy machine in seconds)."""
ATTEMPTS = 3
"""Associations in which an object may stay without an answer (chosen: a lost answer is rare, two in a row are no
accident)."""


class ReceivingPeer:
    """A storage SCP that keeps what it gets in `folder`, by kind of object."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self.names: set[str] = set()
        entity = AE(ae_title=AE_TITLE)
        entity.maximum_pdu_size = MAXIMUM_PDU
        for kind in (*NAMES, *REGISTRATIONS, UID("1.2.840.10008.1.1")):
            entity.add_supported_context(kind, SYNTAXES)
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        if server is None or server.socket is None:
            raise NodeError("the demo's own peer could not listen on loopback")
        self._server, self._stopped = server, False
        self.port = int(server.socket.getsockname()[1])

    def _store(self, event: Event) -> int:
        name = (NAMES | REGISTRATIONS).get(UID(str(event.request.AffectedSOPClassUID)))
        if name is None:
            return REFUSED
        write_durable(event.encoded_dataset(), self._folder / name)
        with self._changed:
            self.names.add(name)
            self._changed.notify_all()
        return STORED

    def wait_for_all(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.names >= set(NAMES.values()), seconds)

    def stop(self) -> None:
        """Harmless twice."""
        if not self._stopped:
            self._stopped = True
            self._server.shutdown()


def push(files: Sequence[Path], port: int, called_ae: str, progress: Progress, *, answer_s: float = ANSWER_S) -> None:
    """Sends every file, in a new association from where no answer came. Raises NodeError if one is refused, or if
    `ATTEMPTS` associations were not enough."""
    waiting = list(files)
    entity = AE(ae_title=AE_TITLE)
    entity.maximum_pdu_size = MAXIMUM_PDU
    entity.dimse_timeout = answer_s
    for kind in KINDS:
        entity.add_requested_context(kind, SYNTAXES)
    for _ in range(ATTEMPTS):
        association = entity.associate("127.0.0.1", port, ae_title=called_ae)
        if not association.is_established:
            raise NodeError(f"it did not accept the association of {AE_TITLE}")
        _push_round(association, waiting, len(files), progress)
        if not waiting:
            progress("pushing the case over DICOM", 1.0)
            return
    raise NodeError(f"it gave no answer to {waiting[0].name}, {ATTEMPTS} times")


def _push_round(association: Association, waiting: list[Path], total: int, progress: Progress) -> None:
    """Takes each file that was stored off `waiting`; ends early where no answer comes."""
    try:
        while waiting:
            progress("pushing the case over DICOM", 1 - len(waiting) / total)
            status = answer_to(association, waiting[0])
            if status is None:
                return
            if status != STORED:
                raise NodeError(f"it answered {waiting[0].name} with status 0x{status:04X}")
            waiting.pop(0)
    finally:
        association.release()


def same_objects(sent: Sequence[Path], folder: Path) -> bool:
    """Every object sent has arrived with equal content, element by element."""
    for path in sent:
        dataset = pydicom.dcmread(path)
        arrived = folder / NAMES[dataset.SOPClassUID]
        if not arrived.exists() or pydicom.dcmread(arrived) != dataset:
            return False
    return True
