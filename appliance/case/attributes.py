"""Attributes that must be there, taken out of a dataset with their type, or refused by name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pydicom.dataset import Dataset

from appliance.contracts import Identity, SourceObject
from appliance.errors import RefusedObject

EXPORT_AGAIN = "Export it again from the system it comes from"


def refused(what: str, reason: str, rule: str, remedy: str = EXPORT_AGAIN) -> RefusedObject:
    """what: names the object ("CT slice 12", "RTPLAN, beam 3"); no patient data."""
    return RefusedObject(reason, what=what, remedy=remedy, rule=rule)


def text(dataset: Dataset, keyword: str) -> str:
    """The value as text without padding, '' if absent or empty."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def required_text(dataset: Dataset, keyword: str, what: str) -> str:
    """Raises RefusedObject, rule `attribute.missing`."""
    value = text(dataset, keyword)
    if not value:
        raise refused(what, f"its {keyword} is missing", "attribute.missing")
    return value


def number(dataset: Dataset, keyword: str, what: str) -> float:
    """Raises RefusedObject, rule `attribute.missing` or `attribute.unreadable`."""
    return numbers(dataset, keyword, 1, what)[0]


def numbers(dataset: Dataset, keyword: str, count: int, what: str) -> tuple[float, ...]:
    """`count` finite numbers (0: any number but none). Raises RefusedObject as `number`."""
    value = dataset.get(keyword)
    if value is None or value == "":
        raise refused(what, f"its {keyword} is missing", "attribute.missing")
    values = tuple(float(item) for item in (value if isinstance(value, Sequence) else (value,)))
    if (count and len(values) != count) or not values or not all(math.isfinite(item) for item in values):
        raise refused(what, f"its {keyword} does not hold the numbers it must", "attribute.unreadable")
    return values


def date_of(value: str) -> date | None:
    """A DICOM date (DA, YYYYMMDD), None for what is none."""
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError:
        return None


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence, none if it is absent or empty."""
    return dataset.get(keyword) or ()


def identity_of(dataset: Dataset) -> Identity:
    return Identity(
        patient_id=text(dataset, "PatientID"),
        patient_name=text(dataset, "PatientName"),
        birth_date=text(dataset, "PatientBirthDate"),
        sex=text(dataset, "PatientSex"),
        study_instance_uid=text(dataset, "StudyInstanceUID"),
        study_id=text(dataset, "StudyID"),
        study_date=text(dataset, "StudyDate"),
        study_time=text(dataset, "StudyTime"),
        accession_number=text(dataset, "AccessionNumber"),
        referring_physician=text(dataset, "ReferringPhysicianName"),
        study_description=text(dataset, "StudyDescription"),
    )


def source_of(dataset: Dataset, path: Path, what: str) -> SourceObject:
    """Raises RefusedObject for missing UIDs."""
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceObject(
        sop_class_uid=required_text(dataset, "SOPClassUID", what),
        sop_instance_uid=required_text(dataset, "SOPInstanceUID", what),
        series_instance_uid=required_text(dataset, "SeriesInstanceUID", what),
        modality=required_text(dataset, "Modality", what),
        path=path,
        sha256=sha256,
    )
