"""Real peers on loopback: Orthanc and DCMTK's storescp; and a scripted one for answers that these cannot be told to
give."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
RT_STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            raise TimeoutError("the peer did not start")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tool(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@contextmanager
def process(command: list[str], *ports: int) -> Iterator[None]:
    started = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: all(listens(port) for port in ports))
        yield
    finally:
        started.terminate()
        started.wait(10)


@contextmanager
def storescp(folder: Path, port: int, *options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    with process([tool("storescp"), "-od", str(folder), "+uf", *options, str(port)], port):
        yield


class Orthanc:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dicom_port = free_port()
        self._http_port = free_port()

    @contextmanager
    def running(self) -> Iterator[Orthanc]:
        configuration = {
            "Name": "test",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "DicomPort": self.dicom_port,
            "HttpPort": self._http_port,
            "RemoteAccessAllowed": False,
            # its DICOM port cannot be bound to loopback, so it takes objects from this host alone
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowEcho": False,
            "DicomCheckModalityHost": True,
            "DicomModalities": {"couchside": ["COUCHSIDE", "127.0.0.1", free_port()]},
            "AuthenticationEnabled": False,
        }
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(configuration))
        with process([tool("Orthanc"), str(path)], self.dicom_port, self._http_port):
            yield self

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def raw(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=10) as answer:
            return bytes(answer.read())


class ScriptedPeer:
    """Answers the n-th C-STORE with the n-th of `answers` (an int: status; a float: success after so many seconds;
    None: aborts), then with success."""

    def __init__(self, *answers: float | None, syntax: str = IMPLICIT, takes: tuple[str, ...] = ()) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []
        self.echoes = 0
        self._entity = AE(ae_title="SCRIPTED")
        for sop_class in (VERIFICATION, *(takes or (RT_DOSE, RT_STRUCTURES, RT_PLAN))):
            self._entity.add_supported_context(sop_class, syntax)

    def _store(self, event: evt.Event) -> int:
        self.calls.append(str(event.request.AffectedSOPClassUID))
        answer = self.answers.pop(0) if self.answers else 0x0000
        if answer is None:
            event.assoc.abort()
            return 0x0000
        if isinstance(answer, float):
            time.sleep(answer)
            return 0x0000
        return answer

    def _echo(self, _: evt.Event) -> int:
        self.echoes += 1
        return 0x0000

    @contextmanager
    def running(self) -> Iterator[int]:
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, self._echo)]
        server = self._entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        try:
            yield int(server.socket.getsockname()[1])
        finally:
            server.shutdown()

    def require_calling(self, title: str) -> None:
        self._entity.require_calling_aet = [title]

    def limit_associations(self, count: int) -> None:
        self._entity.maximum_associations = count
