"""The origin of a contour in a structure set: how it is written, and how it is read back.

ROI Generation Algorithm holds AUTOMATIC, SEMIAUTOMATIC or MANUAL (PS3.3 C.8.8.5); ROI Generation Description the kind,
the method and what it was made of, behind a word of ours, and ROI Description the last of these where it is too long
for that; ROI DateTime the time; ROI Creator Sequence the person who edited. What another system wrote there is kept as
it was: it says what the sender knows of a received contour.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from pydicom.dataset import Dataset

from appliance.contracts.origin import ContourOrigin, Origin
from appliance.dicomio.values import LONG_STRING, SHORT_TEXT, clipped

OURS = "Couchside:"
AUTOMATIC, SEMIAUTOMATIC, MANUAL = "AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"
METHOD_LENGTH = 20
"""Of the method in the description, so that what it was made of has room too (chosen: 'diffeomorphic demons')."""


def write_origin(item: Dataset, origin: ContourOrigin | None) -> None:
    """Into a Structure Set ROI item."""
    item.ROIGenerationAlgorithm = _algorithm(origin)
    if origin is None:
        return
    description = _description(origin)
    if description:
        item.ROIGenerationDescription = clipped(description, LONG_STRING)
    if len(description) > LONG_STRING:
        item.ROIDescription = clipped(origin.from_, SHORT_TEXT)
    with suppress(ValueError):
        item.ROIDateTime = datetime.fromisoformat(origin.at_utc).astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")
    if origin.by and origin.kind in (Origin.EDITED, Origin.RECEIVED):
        item.ROICreatorSequence = [_person(origin.by)]


def read_origin(item: Dataset) -> ContourOrigin:
    """Of a Structure Set ROI item, whoever wrote it."""
    algorithm = str(item.get("ROIGenerationAlgorithm") or "").strip()
    description = str(item.get("ROIGenerationDescription") or "").strip()
    person, at_utc = _creator(item), _time(str(item.get("ROIDateTime") or ""))
    parts = [part.strip() for part in description.removeprefix(OURS).split(";")]
    if description.startswith(OURS) and parts[0] in list(Origin):
        _, method, source = [*parts, "", ""][:3]
        whole = str(item.get("ROIDescription") or "").strip()
        return ContourOrigin(
            Origin(parts[0]), person or method, at_utc, whole if source and whole.startswith(source) else source
        )
    return ContourOrigin(Origin.RECEIVED, person, at_utc, ": ".join(part for part in (algorithm, description) if part))


def _algorithm(origin: ContourOrigin | None) -> str:
    """Of a received contour what its sender said; of an edited one, whether a person began it."""
    if origin is None:
        return ""
    if origin.kind is Origin.RECEIVED:
        stated = origin.from_.split(":")[0]
        return stated if stated in (AUTOMATIC, SEMIAUTOMATIC, MANUAL) else ""
    if origin.kind is Origin.EDITED:
        return MANUAL if origin.from_ in ("", Origin.RECEIVED) else SEMIAUTOMATIC
    return AUTOMATIC


def _description(origin: ContourOrigin) -> str:
    if origin.kind is Origin.RECEIVED:
        return origin.from_.removeprefix(_algorithm(origin)).removeprefix(":").strip()
    method = "" if origin.kind is Origin.EDITED else origin.by.replace(";", ",")[:METHOD_LENGTH]
    return f"{OURS} {origin.kind}; {method}; {origin.from_.replace(';', ',')}"


def _person(name: str) -> Dataset:
    """Identified Person or Device Macro (PS3.3 table C.17-3b)."""
    person = Dataset()
    person.ObserverType = "PSN"
    person.PersonName = clipped(name, LONG_STRING)
    person.PersonIdentificationCodeSequence = []
    person.InstitutionName = ""
    person.InstitutionCodeSequence = []
    return person


def _creator(item: Dataset) -> str:
    creators = item.get("ROICreatorSequence") or ()
    return next((str(creator.get("PersonName") or "").strip() for creator in creators), "")


def _time(text: str) -> str:
    """'' for a time that is not there, or that does not say where on earth it was taken."""
    with suppress(ValueError):
        return datetime.strptime(text.strip(), "%Y%m%d%H%M%S%z").astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ""
