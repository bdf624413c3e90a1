"""The files of one approved plan, written and read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportSet:
    """DICOM files ready to send, plan first, with the SOP instance UID and SHA-256 of each. Where not `approved`, the
    plan says UNAPPROVED and the set may be looked at, never sent."""

    plan: Path
    doses: tuple[Path, ...]
    structures: Path
    sop_instance_uids: tuple[str, ...]
    sha256: tuple[str, ...]
    approved: bool

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.plan, *self.doses, self.structures)
