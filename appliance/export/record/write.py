"""Writes the record of one evaluation beside the export set that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom

from appliance.contracts import RECORD_FILES, Approval, Case, Evaluation, ExportSet, Plan, SourceObject
from appliance.dicomio.files import save_durable, software_version, write_durable
from appliance.errors import ExportError
from appliance.export.record.encapsulated import encapsulated_pdf
from appliance.export.record.html_page import html_of
from appliance.export.record.page import page_of

HTML, PDF, ENCAPSULATED, REPORT = RECORD_FILES


@dataclass(frozen=True)
class RecordFiles:
    """`documents` are the DICOM objects among them: Encapsulated PDF and structured report."""

    html: Path
    pdf: Path
    documents: tuple[SourceObject, SourceObject]

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.html, self.pdf, *(document.path for document in self.documents))


def write_record(
    case: Case,
    plan: Plan,
    evaluation: Evaluation,
    card: Mapping[str, Any],
    approval: Approval | None,
    export_set: ExportSet,
    *,
    folder: Path | None = None,
    curves: bool = True,
) -> RecordFiles:
    """`card` is the evaluation's scorecard, `export_set` the written set of this plan. Files go into its folder, or
    into `folder`.

    Raises ExportError where the scorecard is of another evaluation or plan, DiskFull, WriteFailed."""
    # Here, because highdicom and ReportLab take a second to load, and most processes write no record.
    from appliance.export.record.measurements import measurement_report
    from appliance.export.record.pdf import pdf_of

    told = card["digests"]["evaluation"], card["digests"]["plan"]
    if told != (evaluation.digest, plan.digest):
        raise ExportError("the scorecard is of another evaluation than the one for the record; evaluate the plan again")
    folder = folder or export_set.plan.parent
    page = page_of(card, case.identity, plan.label, approval)
    made = f"{software_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    drawn, bands = (evaluation.dvh, evaluation.bands) if curves else ((), ())
    pdf = pdf_of(page, drawn, made, bands)
    write_durable(html_of(page, drawn, bands), folder / HTML)
    write_durable(pdf, folder / PDF)
    sources = _sources(export_set)
    document = save_durable(encapsulated_pdf(case, pdf, sources), folder / ENCAPSULATED)
    evidence = [pydicom.dcmread(path, stop_before_pixels=True) for path in export_set.files[:3]]
    report = save_durable(measurement_report(card, evidence, final=approval is not None), folder / REPORT)
    return RecordFiles(folder / HTML, folder / PDF, (document, report))


def _sources(export_set: ExportSet) -> tuple[SourceObject, ...]:
    found = []
    for path, sha256 in zip(export_set.files, export_set.sha256, strict=True):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        uids = (str(header.SOPClassUID), str(header.SOPInstanceUID), str(header.SeriesInstanceUID))
        found.append(SourceObject(*uids, str(header.Modality), path, sha256))
    return tuple(found)
