"""The record's page as a DICOM Encapsulated PDF (PS3.3 A.45.1), so that it lies beside the plan in the archive."""

from __future__ import annotations

from datetime import UTC, datetime

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from appliance.contracts import Case, SourceObject
from appliance.dicomio.files import new_dataset, sop_reference
from appliance.dicomio.values import date_time, new_uid
from appliance.export.record.page import TITLE


def encapsulated_pdf(case: Case, pdf: bytes, sources: tuple[SourceObject, ...]) -> Dataset:
    """`sources`: the plan, dose and structures that the page is about."""
    dataset = new_dataset(
        EncapsulatedPDFStorage,
        case.identity,
        modality="DOC",
        series_instance_uid=new_uid(),
        series_description="Plan evaluation",
    )
    del dataset.OperatorsName  # not in this object's equipment module
    dataset.ConversionType = "WSD"
    dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = date_time(datetime.now(UTC))
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = f"{TITLE} (research, not for clinical use)"
    dataset.ConceptNameCodeSequence = []
    dataset.SourceInstanceSequence = [sop_reference(source) for source in sources]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return dataset
