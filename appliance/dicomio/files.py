"""A new DICOM object's common modules, and writing it so that a crash or a power cut leaves all of it or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ImplicitVRLittleEndian

from appliance.contracts import Identity, SourceObject
from appliance.dicomio.values import LONG_STRING, SHORT_TEXT, clipped, date_time, new_uid
from appliance.errors import DiskFull, WriteFailed

MANUFACTURER = "Couchside"
MODEL_NAME = "Couchside online adaptive planner"
RESEARCH_NOTICE = "NOT FOR CLINICAL USE - research software"


TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Value representations that the specific character set applies to (PS3.5 6.1.2.3)."""


def software_version() -> str:
    try:
        return version("couchside")
    except PackageNotFoundError:
        return "uninstalled"


def new_dataset(
    sop_class_uid: str,
    identity: Identity,
    *,
    modality: str,
    series_instance_uid: str,
    series_number: int = 1,
    series_description: str = "",
) -> Dataset:
    """Patient, study, series, equipment and SOP common modules with a fresh SOP instance UID.

    Implicit VR little endian: the only syntax every peer must take, some take no other for RT objects, and a contour
    of more than 64 KiB of decimal strings does not fit the 16-bit length of explicit VR (PS3.5 7.1.2).
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = new_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date_time(datetime.now(UTC))
    _add_identity(dataset, identity)
    dataset.Modality = modality
    dataset.SeriesInstanceUID = series_instance_uid
    dataset.SeriesNumber = series_number
    dataset.SeriesDescription = clipped(series_description, LONG_STRING)
    dataset.OperatorsName = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL_NAME
    dataset.SoftwareVersions = software_version()
    return dataset


def _add_identity(dataset: Dataset, identity: Identity) -> None:
    dataset.PatientID = identity.patient_id
    dataset.PatientName = identity.patient_name
    dataset.PatientBirthDate = identity.birth_date
    dataset.PatientSex = identity.sex
    dataset.StudyInstanceUID = identity.study_instance_uid
    dataset.StudyID = identity.study_id
    dataset.StudyDate = identity.study_date
    dataset.StudyTime = identity.study_time
    dataset.AccessionNumber = identity.accession_number
    dataset.ReferringPhysicianName = identity.referring_physician
    if identity.study_description:
        dataset.StudyDescription = identity.study_description


def _character_set(dataset: Dataset) -> str:
    """Latin 1 where it holds every text of the dataset, since old peers know no UTF-8; UTF-8 otherwise."""
    try:
        for text in _texts(dataset):
            text.encode("latin-1")
    except UnicodeEncodeError:
        return "ISO_IR 192"
    return "ISO_IR 100"


def _texts(dataset: Dataset) -> Iterator[str]:
    """Numbers that are still bytes stay so: decoding contours takes longer than all the rest."""
    for tag in tuple(dataset.keys()):
        if dataset.get_item(tag).VR == "DS":
            continue
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in TEXT_VRS:
            yield str(element.value)


def sop_reference(source: SourceObject) -> Dataset:
    """An item that references the object: SOP class and instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.sop_class_uid
    item.ReferencedSOPInstanceUID = source.sop_instance_uid
    return item


def processing_equipment(model_name: str, said: str) -> Dataset:
    """An item of the Contributing Equipment Sequence (PS3.3 C.12.1; purpose from PS3.16 CID 7005): what had a part in
    the values, and how, in words."""
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "109102", "DCM"
    purpose.CodeMeaning = "Processing Equipment"
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [purpose]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = clipped(model_name, LONG_STRING)
    item.SoftwareVersions = software_version()
    item.ContributionDateTime = datetime.now(UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    item.ContributionDescription = clipped(said, SHORT_TEXT)
    return item


def save_durable(dataset: Dataset, path: Path) -> SourceObject:
    """Writes the dataset as a DICOM file: temporary file beside it, fsync, rename, fsync of the folder.

    When it returns, the file is whole on the disk under its name; when it raises, nothing stands under that name that
    did not before. Raises DiskFull, WriteFailed."""
    dataset.SpecificCharacterSet = _character_set(dataset)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    data = buffer.getvalue()
    write_durable(data, path)
    return SourceObject(
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        modality=str(dataset.Modality),
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def link_durable(source: Path, path: Path) -> bool:
    """`path` becomes another name of the file, on the disk when it returns; False where the file system cannot do
    that, and nothing stands under the name then. For files that are replaced whole and never written in place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.link(source, path)
        sync_folder(path.parent)
    except OSError:
        return False
    return True


def write_durable(data: bytes, path: Path) -> None:
    """The bytes at `path`, all or nothing, and on the disk when it returns. Raises DiskFull, WriteFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(data, path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path.parent} has no room for {len(data)} bytes") from error
        raise WriteFailed(f"{path} ({error.strerror or error})") from error


def _replace(data: bytes, path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
