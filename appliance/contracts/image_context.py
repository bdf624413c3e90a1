"""What a segmentation network sees in the image, beside what is contoured."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.contracts.finding import Finding


@dataclass(frozen=True)
class OrganAgreement:
    """One organ (TG-263 name): segmented_cc by the network, contoured_cc in the structure set (None: it has none). dice
    and distance_95_mm compare both, None where one is empty; of an organ that contours may leave off along z, only the
    slices between its first and last contour count."""

    structure: str
    segmented_cc: float
    contoured_cc: float | None
    dice: float | None
    distance_95_mm: float | None
    within_slices: bool


@dataclass(frozen=True)
class ImageContext:
    """network: name of the network's file, '' where none is configured; sha256 of its weights."""

    network: str
    sha256: str
    organs: tuple[OrganAgreement, ...]
    findings: tuple[Finding, ...]
