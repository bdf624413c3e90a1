"""Small synthetic studies, a running node, and the real peers that talk to it."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

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

    def registration(self) -> Dataset:
        dataset = self._new(REG, "REG")
        dataset.ContentDate, dataset.ContentTime, dataset.ContentLabel = "20260301", "110000", "REG"
        item = Dataset()
        item.FrameOfReferenceUID = self.frame_uid
        dataset.RegistrationSequence = [item]
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


@pytest.fixture
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


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
