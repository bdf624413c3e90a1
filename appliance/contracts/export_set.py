"""The files of one approved plan, written and read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RECORD_FILES = ("evaluation.html", "evaluation.pdf", "DOC_evaluation.dcm", "SR_evaluation.dcm")
"""The evaluation for the record, beside the export set: for people, and as DICOM Encapsulated PDF and SR."""


@dataclass(frozen=True)
class ExportSet:
    """DICOM files ready to send, plan first, with the SOP instance UID and SHA-256 of each. Where not `approved`, the
    plan says UNAPPROVED and the set may be looked at, never sent. documents: what is sent after them (Encapsulated PDF,
    structured report) with their SHA-256; () where the peer shall not have them. registrations: how today lies to the
    reference (Spatial and Deformable Spatial Registration), with their SHA-256; offered last, to peers that take it."""

    plan: Path
    doses: tuple[Path, ...]
    structures: Path
    sop_instance_uids: tuple[str, ...]
    sha256: tuple[str, ...]
    approved: bool
    documents: tuple[Path, ...] = ()
    document_sha256: tuple[str, ...] = ()
    registrations: tuple[Path, ...] = ()
    registration_sha256: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.plan, *self.doses, self.structures)
