"""One DICOM object, durably stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SlicePlacement:
    """Where an image plane (or the first plane of a dose) lies, DICOM patient LPS, mm.

    position_mm: centre of the first pixel. cosines: direction of a row, then of a column. pixel_spacing_mm: between
    rows, between columns, as in DICOM.
    """

    position_mm: tuple[float, float, float]
    cosines: tuple[float, float, float, float, float, float]
    pixel_spacing_mm: tuple[float, float]
    rows: int
    columns: int
    gantry_tilt_deg: float = 0.0


@dataclass(frozen=True)
class Received:
    """A stored and accepted object. `patient_key` is a salted hash of the patient ID, safe to log; `path` is the file
    as received, byte for byte, with a DICOM file header. `sha256` is of the file.

    What completeness is judged by, none of it patient data: `identity_keys` are salted hashes of patient ID, name,
    birth date and sex in this order ('' where the object has none), comparable only between objects of one store or
    folder. `made_at` is YYYYMMDDHHMMSS.ffffff ('' if unknown). `references` are the SOP Instance UIDs this object rests
    on: the images of a structure set, the structure set of a plan, the plan of a dose. `summation` is the Dose
    Summation Type of a dose. `received_at` counts up in order of arrival. `joins` are the Frame of Reference UIDs that
    a registration joins, its own first.
    """

    sop_class_uid: str
    sop_instance_uid: str
    modality: str
    series_instance_uid: str
    frame_of_reference_uid: str
    patient_key: str
    path: Path
    sha256: str
    study_instance_uid: str = ""
    patient_position: str = ""
    identity_keys: tuple[str, str, str, str] = ("", "", "", "")
    made_at: str = ""
    references: tuple[str, ...] = ()
    placement: SlicePlacement | None = None
    summation: str = ""
    received_at: int = 0
    joins: tuple[str, ...] = ()
