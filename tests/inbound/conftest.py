"""Small synthetic studies, a running node, and the real peers that talk to it.

Over 400 lines because every test of inbound builds its objects and speaks to its node by these few helpers.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DeformableSpatialRegistrationStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from appliance.audit import AuditLog
from appliance.config import NodeConfig
from appliance.contracts import Received
from appliance.inbound import Limits, ObjectStore, StorageNode

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
RTSTRUCT, RTPLAN, RTDOSE = (f"1.2.840.10008.5.1.4.1.1.481.{n}" for n in (3, 5, 2))
REG = "1.2.840.10008.5.1.4.1.1.66.1"


@dataclass
class Study:
    """Builds the objects of one patient. Everything random but the identity."""

    patient_id: str = "SYNTHETIC-0815"
    patient_name: str = "Sample^Synthia"
    study_uid: str = field(default_factory=generate_uid)
    frame_uid: str = field(default_factory=generate_uid)
    series_uid: str = field(default_factory=generate_uid)
    size: int = 16
    spacing_mm: float = 3.0

    def _new(self, sop_class: str, modality: str) -> Dataset:
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.InstanceCreationDate, dataset.InstanceCreationTime = "20260301", "101500"
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
        dataset.Modality = modality
        dataset.PatientName, dataset.PatientID = self.patient_name, self.patient_id
        dataset.PatientBirthDate, dataset.PatientSex = "19500412", "F"
        dataset.StudyInstanceUID = self.study_uid
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260301", "100000", "1"
        dataset.AccessionNumber, dataset.ReferringPhysicianName = "", ""
        dataset.SeriesInstanceUID = generate_uid()
        dataset.SeriesNumber = 1
        dataset.FrameOfReferenceUID = self.frame_uid
        dataset.PositionReferenceIndicator = ""
        return dataset

    def _plane(self, dataset: Dataset, z_mm: float) -> None:
        dataset.Rows = dataset.Columns = self.size
        dataset.PixelSpacing = [2, 2]
        dataset.ImagePositionPatient = [-self.size, -self.size, z_mm]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15

    def ct(self, index: int) -> Dataset:
        dataset = self._new(CT, "CT")
        dataset.SeriesInstanceUID = self.series_uid
        dataset.InstanceNumber = index + 1
        dataset.PatientPosition = "HFS"
        self._plane(dataset, index * self.spacing_mm)
        dataset.SliceThickness = self.spacing_mm
        dataset.PixelRepresentation = 0
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        y, x = np.mgrid[: self.size, : self.size]
        dataset.PixelData = ((x * 7 + y * 13 + index) % 4096).astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        return dataset

    def series(self, slices: int = 5) -> list[Dataset]:
        return [self.ct(index) for index in range(slices)]

    def mr(self) -> Dataset:
        dataset = self.ct(0)
        dataset.SOPClassUID, dataset.Modality = MR, "MR"
        del dataset.RescaleIntercept, dataset.RescaleSlope
        return dataset

    def structure_set(self, images: list[Dataset], *, date: str = "20260301") -> Dataset:
        dataset = self._new(RTSTRUCT, "RTSTRUCT")
        dataset.StructureSetLabel, dataset.StructureSetDate, dataset.StructureSetTime = "TODAY", date, "103000"
        del dataset.FrameOfReferenceUID
        series = Dataset()
        series.SeriesInstanceUID = self.series_uid
        series.ContourImageSequence = [_reference(image) for image in images]
        study = Dataset()
        study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", self.study_uid
        study.RTReferencedSeriesSequence = [series]
        frame = Dataset()
        frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = self.frame_uid, [study]
        dataset.ReferencedFrameOfReferenceSequence = [frame]
        roi = Dataset()
        roi.ROINumber, roi.ReferencedFrameOfReferenceUID, roi.ROIName = 1, self.frame_uid, "External"
        roi.ROIGenerationAlgorithm = "MANUAL"
        dataset.StructureSetROISequence = [roi]
        contours = Dataset()
        contours.ReferencedROINumber, contours.ContourSequence = 1, [self._contour(image) for image in images]
        dataset.ROIContourSequence = [contours]
        observation = Dataset()
        observation.ObservationNumber = observation.ReferencedROINumber = 1
        observation.RTROIInterpretedType, observation.ROIInterpreter = "EXTERNAL", ""
        dataset.RTROIObservationsSequence = [observation]
        return dataset

    def _contour(self, image: Dataset) -> Dataset:
        contour = Dataset()
        contour.ContourImageSequence = [_reference(image)]
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 3
        z = float(image.ImagePositionPatient[2])
        contour.ContourData = [-5, -5, z, 5, -5, z, 0, 5, z]
        return contour

    def plan(self, structure_set: Dataset, *, date: str = "20260215") -> Dataset:
        dataset = self._new(RTPLAN, "RTPLAN")
        dataset.RTPlanLabel, dataset.RTPlanDate, dataset.RTPlanTime, dataset.RTPlanGeometry = (
            "REFERENCE",
            date,
            "0900",
            "PATIENT",
        )
        dataset.ReferencedStructureSetSequence = [_reference(structure_set)]
        return dataset

    def dose(self, plan: Dataset, *, summation: str = "PLAN") -> Dataset:
        dataset = self._new(RTDOSE, "RTDOSE")
        self._plane(dataset, 0.0)
        dataset.NumberOfFrames, dataset.FrameIncrementPointer = 3, 0x3004000C
        dataset.GridFrameOffsetVector = [0, 3, 6]
        dataset.PixelRepresentation = 0
        dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", summation
        dataset.DoseGridScaling = 0.001
        dataset.ReferencedRTPlanSequence = [_reference(plan)]
        dataset.PixelData = np.arange(3 * self.size**2, dtype="<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        return dataset

    def registration(self, *others: str, date: str = "20260301") -> Dataset:
        """others: frames of reference beside the study's own."""
        dataset = self._new(REG, "REG")
        dataset.InstanceCreationDate = dataset.ContentDate = date
        dataset.ContentTime, dataset.ContentLabel = "110000", "REG"
        dataset.RegistrationSequence = [Dataset() for _ in range(1 + len(others))]
        for item, uid in zip(dataset.RegistrationSequence, (self.frame_uid, *others), strict=True):
            item.FrameOfReferenceUID = uid
        return dataset

    def deformable_registration(self, source: str) -> Dataset:
        dataset = self.registration()
        dataset.SOPClassUID = DeformableSpatialRegistrationStorage
        del dataset.RegistrationSequence
        item = Dataset()
        item.SourceFrameOfReferenceUID = source
        dataset.DeformableRegistrationSequence = [item]
        return dataset

    def whole(self, slices: int = 5) -> list[Dataset]:
        """Today's CT and structure set, the predecessor plan and its dose."""
        images = self.series(slices)
        structure_set = self.structure_set(images)
        plan = self.plan(structure_set)
        return [*images, structure_set, plan, self.dose(plan)]


def _reference(dataset: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    return item


def _file_bytes(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def study() -> Study:
    return Study()


@pytest.fixture(scope="session")
def new_study() -> type[Study]:
    return Study


@pytest.fixture
def file_bytes() -> Callable[..., bytes]:
    """Encodes a dataset as a DICOM file."""
    return _file_bytes


@pytest.fixture
def write() -> Callable[..., list[Path]]:
    """Writes datasets as DICOM files into a folder."""

    def write_all(folder: Path, datasets: list[Dataset], syntax: str = ExplicitVRLittleEndian) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"object{number:03}.dcm" for number, _ in enumerate(datasets)]
        for path, dataset in zip(paths, datasets, strict=True):
            path.write_bytes(_file_bytes(dataset, syntax))
        return paths

    return write_all


@pytest.fixture
def dataset_bytes() -> Callable[..., bytes]:
    """Encodes a dataset alone, as it travels in a message."""

    def encode(dataset: Dataset, *, implicit: bool = False) -> bytes:
        buffer = io.BytesIO()
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        bare = Dataset(dataset)
        dcmwrite(buffer, bare, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        return buffer.getvalue()

    return encode


@dataclass
class Running:
    """A node on a free port with its store, log and what it told the session."""

    node: StorageNode
    store: ObjectStore
    audit: AuditLog
    stored: list[Received]
    root: Path

    @property
    def port(self) -> int:
        return self.node.port

    def events(self, event: str) -> list[dict[str, object]]:
        return [dict(row.data) for row in self.audit.rows(event=event)]

    def files(self, folder: str) -> list[Path]:
        return sorted((self.root / folder).iterdir())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts nodes; stops them at the end."""
    alive: list[Running] = []

    def start(
        root: Path | None = None, *, limits: Limits | None = None, tls: object = None, **config: object
    ) -> Running:
        root = root or tmp_path / "store"
        audit = AuditLog.open(root / "audit.sqlite")
        store = ObjectStore(root, audit, limits=limits)
        stored: list[Received] = []
        settings = {"port": 0, "store": root, "minimum_free_mb": 0, **config}
        node = StorageNode(NodeConfig(**settings), store, stored.append, limits=limits, tls=tls)  # type: ignore[arg-type]
        node.start()
        alive.append(Running(node, store, audit, stored, root))
        return alive[-1]

    yield start
    for each in alive:
        each.node.stop()
        each.store.close()
        each.audit.close()


def _peer(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    binary = shutil.which(command[0])
    if binary is None:
        pytest.skip(f"{command[0]} is not installed (apt install dcmtk)")
    result = subprocess.run(
        [binary, *command[1:]],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    if check and result.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {result.returncode}: {result.stdout}{result.stderr}")
    return result


@pytest.fixture
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs one of DCMTK's programs."""
    return _peer


class RawPeer:
    """A peer on a bare socket that can be as rude as a test wants. `source` is an address of the loopback network."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; (0, b"") if the node closed or reset the connection."""
        try:
            head = self._exactly(6)
            return (head[0], self._exactly(struct.unpack(">L", head[2:])[0])) if head else (0, b"")
        except ConnectionError:
            return 0, b""

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def associate(self, called: str = "COUCHSIDE", syntax: str = ExplicitVRLittleEndian, sop_class: str = CT) -> int:
        """Sends a request; returns the type of the answer (2: accepted, 3: rejected)."""
        self.send(association_request(called, syntax, sop_class))
        return self.receive()[0]

    def store(self, dataset: bytes, uid: str, *, sop_class: str = CT, piece: int = 16000) -> tuple[int, str]:
        """One C-STORE; returns status and error comment."""
        self.send(store_command(uid, sop_class))
        for at in range(0, max(len(dataset), 1), piece):
            self.send(data_pdu(dataset[at : at + piece], is_command=False, is_last=at + piece >= len(dataset)))
        kind, body = self.receive()
        assert kind == 4, f"PDU type {kind} instead of an answer"
        answer = read_dataset(io.BytesIO(body[6:]), True, True)
        return int(answer.Status), str(answer.get("ErrorComment", ""))

    def close(self) -> None:
        self.socket.close()


def data_pdu(value: bytes, *, is_command: bool, is_last: bool, context_id: int = 1) -> bytes:
    item = struct.pack(">LBB", len(value) + 2, context_id, is_command | is_last << 1) + value
    return struct.pack(">BBL", 4, 0, len(item)) + item


def command_set(elements: dict[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in elements.items())
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def store_command(uid: str, sop_class: str = CT) -> bytes:
    command = command_set(
        {
            0x0002: even(sop_class),
            0x0100: struct.pack("<H", 1),
            0x0110: struct.pack("<H", 7),
            0x0700: struct.pack("<H", 0),
            0x0800: struct.pack("<H", 1),
            0x1000: even(uid),
        }
    )
    return data_pdu(command, is_command=True, is_last=True)


def even(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def association_request(
    called: str = "COUCHSIDE", syntax: str = ExplicitVRLittleEndian, sop_class: str = CT, calling: str = "RAWPEER"
) -> bytes:
    request = A_ASSOCIATE()
    request.application_context_name = UID("1.2.840.10008.3.1.1.1")
    request.called_ae_title, request.calling_ae_title = called, calling
    context = build_context(UID(sop_class), [UID(syntax)])
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 16384, UID("1.2.3.4")
    request.user_information = [length, implementation]
    return bytes(A_ASSOCIATE_RQ(request).encode())


@dataclass
class Raw:
    """What tests of the wire need, in one place."""

    port: int = 0
    peers: list[RawPeer] = field(default_factory=list)
    data_pdu = staticmethod(data_pdu)
    store_command = staticmethod(store_command)
    command_set = staticmethod(command_set)
    request = staticmethod(association_request)

    def __call__(self, port: int, source: str = "127.0.0.1") -> RawPeer:
        self.peers.append(RawPeer(port, source))
        return self.peers[-1]


@pytest.fixture
def raw() -> Iterator[Raw]:
    peers = Raw()
    yield peers
    for peer in peers.peers:
        peer.close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
