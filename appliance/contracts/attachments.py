"""What people lay beside a patient's case: clinical notes, and the objects of an earlier course of radiotherapy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True)
class PriorStated:
    """What a person says of an earlier course, over what its files say. fractions: 0 as its RTPLAN plans them. days:
    between the two courses; None: estimated from the dates of the images."""

    fractions: int = 0
    days: float | None = None

    def to_json(self) -> bytes:
        return _STATED.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> PriorStated:
        return _STATED.validate_json(data)


@dataclass(frozen=True)
class Attachments:
    """notes: text or PDF files. prior: DICOM files of an earlier course: its dose, and the image and structures the
    dose was made on; `stated` is about it."""

    notes: tuple[Path, ...] = ()
    prior: tuple[Path, ...] = ()
    stated: PriorStated = PriorStated()


_STATED = TypeAdapter(PriorStated)
