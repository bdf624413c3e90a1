"""From an accepted object to what the rest of Couchside is told of it (`Received`)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue
from pydicom.valuerep import PersonName

from appliance.contracts import Received
from appliance.contracts.received import SlicePlacement
from appliance.inbound.keys import Keys
from appliance.inbound.references import frame_of, joined_frames, references_of
from appliance.inbound.subject import Subject

# The date and time an object was made: its own kind's first, then what every object may carry.
_DATES = (
    ("StructureSetDate", "StructureSetTime"),
    ("RTPlanDate", "RTPlanTime"),
    ("AcquisitionDate", "AcquisitionTime"),  # before creation: an image exported again is not of another day
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("ContentDate", "ContentTime"),
)


class StoredFile(NamedTuple):
    path: Path
    sha256: str
    received_at: int


def describe(subject: Subject, keys: Keys, stored: StoredFile) -> Received:
    """`subject` has passed the rules, so its values are there and readable."""
    return Received(
        sop_class_uid=subject.text("SOPClassUID"),
        sop_instance_uid=subject.text("SOPInstanceUID"),
        modality=subject.text("Modality"),
        series_instance_uid=subject.text("SeriesInstanceUID"),
        frame_of_reference_uid=frame_of(subject),
        patient_key=keys.of("patient", subject.text("PatientID")),
        path=stored.path,
        sha256=stored.sha256,
        study_instance_uid=subject.text("StudyInstanceUID"),
        patient_position=subject.text("PatientPosition"),
        identity_keys=_identity_keys(subject, keys),
        made_at=_made_at(subject),
        references=references_of(subject),
        placement=_placement(subject),
        summation=subject.text("DoseSummationType"),
        received_at=stored.received_at,
        joins=joined_frames(subject),
    )


def _identity_keys(subject: Subject, keys: Keys) -> tuple[str, str, str, str]:
    return (
        keys.of("patient", subject.text("PatientID")),
        keys.of("name", _plain_name(subject.text("PatientName"))),
        keys.of("birth", subject.text("PatientBirthDate")),
        keys.of("sex", subject.text("PatientSex")),
    )


def _plain_name(name: str) -> str:
    """The alphabetic name without what systems differ in for one person: case, trailing delimiters, white space."""
    components = str(PersonName(name).alphabetic).split("^")
    return "^".join(" ".join(component.split()) for component in components).rstrip("^").casefold()


def _made_at(subject: Subject) -> str:
    for date_keyword, time_keyword in _DATES:
        date = subject.text(date_keyword).replace(".", "")
        if len(date) == 8 and date.isdigit():
            time = subject.text(time_keyword).replace(":", "")
            whole, _, fraction = time.partition(".")
            return f"{date}{whole:0<6.6}.{fraction:0<6.6}"
    return ""


def _placement(subject: Subject) -> SlicePlacement | None:
    if not subject.has("ImagePositionPatient"):
        return None
    x, y, z = subject.numbers("ImagePositionPatient", 3)
    a, b, c, d, e, f = subject.numbers("ImageOrientationPatient", 6)
    between_rows, between_columns = subject.numbers("PixelSpacing", 2)
    return SlicePlacement(
        position_mm=(x, y, z),
        cosines=(a, b, c, d, e, f),
        pixel_spacing_mm=(between_rows, between_columns),
        rows=subject.whole("Rows", least=1, most=65535),
        columns=subject.whole("Columns", least=1, most=65535),
        gantry_tilt_deg=subject.number("GantryDetectorTilt") if subject.has("GantryDetectorTilt") else 0.0,
    )


def stored_row(received: Received, size: int, sender: str) -> dict[str, JsonValue]:
    """What the audit log keeps of an object: enough to find the file again and to prove it unchanged."""
    return {
        "object": received.path.stem,
        "sha256": received.sha256,
        "bytes": size,
        "modality": received.modality,
        "sop_class": received.sop_class_uid,
        "patient": received.patient_key,
        "sender": sender,
    }
