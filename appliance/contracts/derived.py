"""Structures that follow from others by a rule, as a PTV from its CTV."""

from __future__ import annotations

from dataclasses import dataclass

from engines.grid import Margins


@dataclass(frozen=True)
class DerivedRule:
    """Structure `name` is structure `source` (TG-263 names both) grown by the margins (those along the
    patient come out in whole slices), and what lies outside the
    External, or nearer than crop_to_external_mm to its surface, cut off; None: not cropped."""

    name: str
    source: str
    margins_mm: Margins
    crop_to_external_mm: float | None = 0.0

    @property
    def words(self) -> str:
        if self.crop_to_external_mm is None:
            return f"{self.source} + {self.margins_mm.words}"
        inside = f" - {self.crop_to_external_mm:g} mm" if self.crop_to_external_mm else ""
        return f"{self.source} + {self.margins_mm.words} in External{inside}"
