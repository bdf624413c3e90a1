"""What people lay beside a patient's case: clinical notes, and the objects of an earlier course of radiotherapy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Attachments:
    """notes: text or PDF files. prior: DICOM files of an earlier course: its dose, and the image and structures the
    dose was made on."""

    notes: tuple[Path, ...] = ()
    prior: tuple[Path, ...] = ()

    @property
    def none(self) -> bool:
        return not (self.notes or self.prior)
