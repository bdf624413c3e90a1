"""What the node accepts, and the rules an object can be refused by, each with its DICOM failure status.

Statuses are those of PS3.4 table B.2-1 (C-STORE: A7xx out of resources, A9xx dataset does not match SOP class, Cxxx
cannot understand) and PS3.7 annex C (0122 SOP class not supported). The last digits within Cxxx are our own.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeformableSpatialRegistrationStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MRImageStorage,
    RLELossless,
    RTDoseStorage,
    RTPlanStorage,
    RTStructureSetStorage,
    SpatialRegistrationStorage,
)

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700


class Modality(StrEnum):
    CT = "CT"
    MR = "MR"
    RTSTRUCT = "RTSTRUCT"
    RTPLAN = "RTPLAN"
    RTDOSE = "RTDOSE"
    REG = "REG"


# SOP class -> (modality, what a person calls it)
ACCEPTED_CLASSES: Final = MappingProxyType(
    {
        str(CTImageStorage): (Modality.CT, "CT image"),
        str(MRImageStorage): (Modality.MR, "MR image"),
        str(RTStructureSetStorage): (Modality.RTSTRUCT, "structure set"),
        str(RTPlanStorage): (Modality.RTPLAN, "RT plan"),
        str(RTDoseStorage): (Modality.RTDOSE, "RT dose"),
        str(SpatialRegistrationStorage): (Modality.REG, "spatial registration"),
        str(DeformableSpatialRegistrationStorage): (Modality.REG, "deformable registration"),
    }
)
IMAGE_MODALITIES: Final = frozenset({Modality.CT, Modality.MR})

JPEG_SYNTAXES: Final = frozenset(
    str(uid)
    for uid in (
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEGLSNearLossless,
    )
)
JPEG2000_SYNTAXES: Final = frozenset({str(JPEG2000Lossless), str(JPEG2000)})
RLE_SYNTAX: Final = str(RLELossless)
# In order of preference where a peer leaves the choice to us: what needs no decoding first.
NATIVE_SYNTAXES: Final = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
COMPRESSED_SYNTAXES: Final = (RLE_SYNTAX, *sorted(JPEG_SYNTAXES), *sorted(JPEG2000_SYNTAXES))


def syntaxes_for(sop_class_uid: str) -> tuple[str, ...]:
    """Transfer syntaxes accepted for a SOP class: compressed ones for images only."""
    modality, _ = ACCEPTED_CLASSES[sop_class_uid]
    return NATIVE_SYNTAXES + (COMPRESSED_SYNTAXES if modality in IMAGE_MODALITIES else ())


class Rule(Enum):
    """Acceptance rules of single objects: (stable id, status answered)."""

    STRUCTURE = ("structure.broken", 0xC000)
    UID_SYNTAX = ("uid.syntax", 0xC001)
    MISSING = ("attribute.missing", 0xC002)
    UNREADABLE = ("attribute.unreadable", 0xC003)
    PATIENT_POSITION = ("patient.position", 0xC004)
    ORIENTATION = ("geometry.orientation", 0xC005)
    NOT_HU = ("rescale.not-hounsfield", 0xC006)
    PIXEL_LENGTH = ("pixels.length", 0xC007)
    CODESTREAM = ("pixels.codestream", 0xC008)
    REFERENCE = ("reference.missing", 0xC009)
    SYNTAX = ("syntax.not-accepted", 0xC00A)
    PREDICTED = ("dose.predicted", 0xC00B)
    ACCUMULATED = ("dose.accumulated", 0xC00C)
    OTHER_BYTES = ("uid.other-bytes", 0xC010)
    CLASS_MISMATCH = ("class.mismatch", 0xA900)
    INSTANCE_MISMATCH = ("instance.mismatch", 0xA901)
    MODALITY_MISMATCH = ("modality.mismatch", 0xA902)
    CLASS = ("class.not-accepted", 0x0122)
    TOO_LARGE = ("object.too-large", 0xA701)

    def __init__(self, rule_id: str, status: int) -> None:
        self.id = rule_id
        self.status = status


STATUS_OF_RULE: Final = MappingProxyType({rule.id: rule.status for rule in Rule})


class SetRule(StrEnum):
    """Rules of the set of objects that makes a case (`assess`)."""

    IDENTITY = "set.identity"
    TILTED = "set.tilted"
    NOT_AXIAL = "set.not-axial"
    MIXED = "set.mixed-geometry"
    DUPLICATE_SLICE = "set.duplicate-slice"
    UNEVEN = "set.uneven-spacing"
    FRAME = "set.frame-of-reference"
    OTHER_SERIES = "set.several-series"
    POSITION = "set.patient-position"
