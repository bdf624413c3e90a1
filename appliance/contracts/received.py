"""One DICOM object, durably stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Received:
    """A stored and accepted object. `patient_key` is a salted hash of the patient ID, safe to log; `path` is the file
    as received, byte for byte, with a DICOM file header. `sha256` is of the file."""

    sop_class_uid: str
    sop_instance_uid: str
    modality: str
    series_instance_uid: str
    frame_of_reference_uid: str
    patient_key: str
    path: Path
    sha256: str
