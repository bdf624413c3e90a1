"""Bad objects on the network, as a sender and an operator meet them: a real `couchside serve` and DCMTK's storescu.

The rules and the wire are tested beside their code; here the whole process answers, and goes on.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, RTImageStorage

from appliance.audit import verify

from ..cli.conftest import Ran
from ..inbound.conftest import RawPeer
from ..session.small_case import SmallCase, write_small_case
from .bad_study import edited, moved, on, on_every_slice, put, removed, slices, without
from .served import PASSPHRASE, PHYSICIAN, Served

pytestmark = pytest.mark.peer
ABSENT_PEER_PORT = 1


Couchside = Callable[..., tuple[int, dict[str, object]]]


@pytest.fixture
def couchside(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Couchside:
    """The command line in this process: exit code, and the JSON of the result or of the refusal."""

    def couchside(*arguments: object, stdin: str = "") -> tuple[int, dict[str, object]]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        done = run(*arguments, "--json")
        assert "Traceback" not in done.err
        document = json.loads(done.out if done.code == 0 else done.err.strip().splitlines()[-1])
        assert isinstance(document, dict)
        return done.code, document

    return couchside


@dataclass
class Site:
    """The running node and a study that fits it."""

    served: Served
    small: SmallCase
    port: int

    def send(self, *paths: Path) -> subprocess.CompletedProcess[str]:
        binary = shutil.which("storescu")
        if binary is None:
            pytest.skip("storescu is not installed (apt install dcmtk)")
        command = [binary, "-d", "-nh", "-R", "-aec", "COUCHSIDE", "127.0.0.1", str(self.port), *map(str, paths)]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=60, env=environment, check=False
        )

    def stored(self) -> int:
        return len(list((self.served.store / "objects").iterdir()))

    def sessions(self) -> list[dict[str, object]]:
        listed = self.served.ask("status")["sessions"]
        assert isinstance(listed, list) and all(isinstance(entry, dict) for entry in listed)
        return [dict(entry) for entry in listed if isinstance(entry, dict)]

    def new_session(self, known: set[str], ready: Callable[[dict[str, object]], object]) -> dict[str, object]:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for entry in self.sessions():
                if entry["session"] not in known and ready(entry):
                    return entry
            time.sleep(0.05)
        raise AssertionError(self.sessions())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    small = write_small_case(folder / "study")
    served = Served.prepare(folder, small, "NOBODY", ABSENT_PEER_PORT)
    served.start()
    yield Site(served, small, served.port())
    assert served.end() == 0
    assert verify(served.store / "audit.sqlite").ok
    assert "Small^Case" not in served.log.read_text() and "Traceback" not in served.log.read_text()


@pytest.fixture
def study(site: Site, tmp_path: Path) -> Path:
    """Of a patient of its own, so that no test sees another's session."""
    return write_small_case(tmp_path / "study", patient_id=tmp_path.name[-64:]).folder


def _another_class(dataset: Dataset) -> None:
    """Sent as the CT image it says it is, with the modality of another."""
    dataset.Modality = "RTIMAGE"


OBJECTS = {
    "UID that is none": ("RS.dcm", put(StudyInstanceUID="1.02.3"), "c001", "uid.syntax"),
    "no images named": ("RS.dcm", without("ReferencedFrameOfReferenceSequence", "ROIContourSequence"), "c009", "refer"),
    "no structures": ("RS.dcm", put(StructureSetROISequence=[]), "c002", "attribute.missing"),
    "not in HU": ("CT", put(RescaleType="US"), "c006", "rescale.not-hounsfield"),
    "no rescale": ("CT", without("RescaleIntercept"), "c002", "attribute.missing"),
    "lies on the side": ("CT", put(PatientPosition="HFDL"), "c004", "patient.position"),
    "fewer rows than pixels": ("CT", put(Rows=39), "c007", "pixels.length"),
    "modality of another class": ("CT", _another_class, "a902", "modality.mismatch"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_the_sender_is_told_and_the_object_quarantined(site: Site, study: Path, name: str) -> None:
    which, change, status, rule = OBJECTS[name]
    on(which, change)(study)
    stored, refusals = site.stored(), len(site.served.rows("object.refused"))
    done = site.send(slices(study)[5] if which == "CT" else study / which)
    assert f"0x{status}" in (done.stdout + done.stderr).lower()
    [row] = site.served.rows("object.refused")[refusals:]
    assert str(row["rule"]).startswith(rule)
    assert site.stored() == stored
    reasons = [json.loads(path.read_text()) for path in (site.served.store / "quarantine").glob("*.json")]
    assert row["rule"] in {reason["rule"] for reason in reasons}


def test_an_object_of_a_class_that_is_not_accepted_is_not_even_offered(site: Site, study: Path) -> None:
    path = slices(study)[5]
    with edited(path) as dataset:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RTImageStorage
        dataset.Modality = "RTIMAGE"
    stored = site.stored()
    done = site.send(path)
    assert "Presentation Context" in done.stdout + done.stderr
    assert (done.returncode != 0, site.stored()) == (True, stored)


def test_the_same_uid_with_other_bytes_keeps_the_first(site: Site, study: Path) -> None:
    path = slices(study)[5]
    assert site.send(path).returncode == 0
    stored = site.stored()
    with edited(path) as dataset:
        dataset.InstanceNumber = 99
    done = site.send(path)
    assert "0xc010" in (done.stdout + done.stderr).lower()
    assert site.stored() == stored


@pytest.mark.parametrize(
    ("keep", "announced", "status"), [(0.6, "", 0xC000), (1.0, "1.2.3.4.5", 0xA901), (1.0, "1.02.3", 0xC001)]
)
def test_cut_off_or_announced_as_another(site: Site, study: Path, keep: float, announced: str, status: int) -> None:
    path = slices(study)[5]
    dataset = pydicom.dcmread(path)
    meta = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    data = path.read_bytes()[meta:]
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    stored = site.stored()
    peer = RawPeer(site.port)
    assert peer.associate(syntax=syntax, sop_class=CTImageStorage) == 2
    told = peer.store(data[: int(len(data) * keep)], announced or str(dataset.SOPInstanceUID))
    peer.close()
    assert told[0] == status, told
    assert site.stored() == stored


def test_a_length_of_4_gib_ends_that_connection_and_no_other(site: Site, study: Path) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as rude:
        rude.sendall(b"\x01\x00\xff\xff\xff\xff" + b"\0" * 1000)
        assert rude.recv(100)[:1] in (b"\x07", b"")
    assert site.send(slices(study)[5]).returncode == 0


def _uneven(dataset: Dataset) -> None:
    position = [float(value) for value in dataset.ImagePositionPatient]
    dataset.ImagePositionPatient = [position[0], position[1], position[2] + 1.0]


SETS = {
    "missing slice": (removed("CT"), "1 of the 12 slices"),
    "uneven spacing": (on("CT", _uneven), "4.00 to 6.00 mm apart"),
    "tilted gantry": (on_every_slice(put(GantryDetectorTilt=5)), "tilted gantry"),
    "another name": (on("RS.dcm", put(PatientName="Other^Name")), "differ in name"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_makes_no_case_waits_and_says_why(site: Site, study: Path, name: str) -> None:
    spoil, words = SETS[name]
    known = {str(entry["session"]) for entry in site.sessions()}
    spoil(study)
    assert site.send(*study.iterdir()).returncode == 0
    held = site.new_session(known, lambda entry: entry["held"])
    assert held["state"] == "waiting for image"
    assert words in str(held["held"])


def test_a_missing_slice_that_comes_after_all_completes_the_case(site: Site, study: Path, couchside: Couchside) -> None:
    known = {str(entry["session"]) for entry in site.sessions()}
    late = slices(study)[5]
    assert site.send(*(path for path in study.iterdir() if path != late)).returncode == 0
    held = site.new_session(known, lambda entry: entry["held"])
    code, told = couchside("approve", held["session"], "--identity", PHYSICIAN, "--passphrase-stdin", "--store",
                           site.served.store, stdin=PASSPHRASE + "\n")  # fmt: skip
    assert (code, told["key"]) == (10, "session.transition")
    assert "'waiting for image'" in str(told["sentence"])
    assert site.send(late).returncode == 0
    site.new_session(known, lambda entry: entry["state"] == "in review")
    _refused_approvals(site, couchside, str(held["session"]))


def _refused_approvals(site: Site, couchside: Couchside, session: str) -> None:
    """Wrong passphrase, unknown person, unknown session: 7, 7 and 10, and the plan stays in review."""
    for identity, passphrase, name, code, key, words in (
        (PHYSICIAN, "a wrong passphrase", session, 7, "approval", "passphrase"),
        ("Dr Nobody", PASSPHRASE, session, 7, "approval", "Dr Nobody"),
        (PHYSICIAN, PASSPHRASE, "20260101-none", 10, "session", "There is no session"),
    ):
        found, told = couchside(
            "approve",
            name,
            "--identity",
            identity,
            "--acknowledge",
            "a test",
            "--passphrase-stdin",
            "--store",
            site.served.store,
            stdin=passphrase + "\n",
        )
        assert (found, told["key"]) == (code, key), told
        assert words in str(told["sentence"])
        assert passphrase not in str(told["sentence"])
    code, document = couchside("sessions", "--store", site.served.store)
    assert code == 0 and isinstance(document["sessions"], list)
    [entry] = [entry for entry in document["sessions"] if entry["session"] == session]
    assert entry["state"] == "in review"
    assert site.served.count("session.transition") and not site.served.rows("export.sent")


def test_a_target_outside_the_body_fails_the_session_in_words(site: Site, study: Path) -> None:
    known = {str(entry["session"]) for entry in site.sessions()}
    on("RS.dcm", moved("PTV", (70, 0, 0)))(study)
    assert site.send(*study.iterdir()).returncode == 0
    failed = site.new_session(known, lambda entry: entry["state"] == "failed")
    assert "target PTV lies outside the body" in str(failed["why"])


def test_a_second_node_on_the_store_and_on_the_port_are_refused(site: Site, tmp_path: Path) -> None:
    taken = tmp_path / "port.toml"
    taken.write_text(f'[node]\nport = {site.port}\nstore = "{tmp_path / "other"}"\n')
    for arguments, code, words in (
        (("--store", site.served.store), 11, "in use by another Couchside process"),
        (("--config", taken), 11, str(site.port)),
    ):
        command = [sys.executable, "-m", "appliance", "serve", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        said = done.stderr.strip().splitlines()[-1]
        assert said.startswith("couchside: ") and words in said and "Traceback" not in done.stderr
    assert site.served.ask("status")["node"]
