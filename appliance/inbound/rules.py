"""Acceptance rules for one object: each a small pure function that returns, or refuses and says why and what to do.

`check_new` applies those of the object's modality in order, `check` those that hold of a stored object too. None of
them looks at another object; what a set of objects must satisfy is in `assess.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pydicom.uid import JPEGExtended12Bit

from appliance.dicomio.accumulated_dose import is_accumulated
from appliance.dicomio.imager import DEVICE, told_by_device
from appliance.dicomio.predicted_dose import is_prediction
from appliance.inbound.catalogue import (
    ACCEPTED_CLASSES,
    JPEG2000_SYNTAXES,
    NATIVE_SYNTAXES,
    RLE_SYNTAX,
    Modality,
    Rule,
    syntaxes_for,
)
from appliance.inbound.codestream import BrokenCodestream, check_rle, jpeg2000_size, jpeg_size
from appliance.inbound.references import check_references
from appliance.inbound.subject import Subject, is_uid

PATIENT_POSITIONS = ("HFS", "HFP", "FFS", "FFP")
COSINE_TOLERANCE = 1e-3  # chosen, because DS values of 6 decimals and vendors' rounding stay well below
_HU = ("", "HU")  # Rescale Type; not stated is HU (PS3.3 C.8.2.1, type 1C)
_RESEND = "Send it again; if it is refused again, export it anew from the source"


def announced_uids(subject: Subject) -> None:
    """The UIDs in the dataset are those the sender announced: otherwise Success would be said for another object."""
    if subject.announced is None:
        return
    if not is_uid(subject.announced.sop_instance_uid):
        raise subject.refusal(Rule.UID_SYNTAX, "the UID it was announced with is not a valid DICOM UID", _RESEND)
    if subject.uid("SOPClassUID") != subject.announced.sop_class_uid:
        raise subject.refusal(Rule.CLASS_MISMATCH, "it is of another SOP class than was announced", _RESEND)
    if subject.uid("SOPInstanceUID") != subject.announced.sop_instance_uid:
        raise subject.refusal(Rule.INSTANCE_MISMATCH, "its SOP Instance UID is not the one announced", _RESEND)


def accepted_class(subject: Subject) -> None:
    if subject.uid("SOPClassUID") not in ACCEPTED_CLASSES:
        raise subject.refusal(
            Rule.CLASS, "objects of its SOP class are not accepted", "Send CT, MR, RTSTRUCT, RTPLAN, RTDOSE or REG only"
        )


def accepted_syntax(subject: Subject) -> None:
    if subject.transfer_syntax not in syntaxes_for(subject.uid("SOPClassUID")):
        raise subject.refusal(
            Rule.SYNTAX, "its transfer syntax is not accepted", "Export it uncompressed in little endian byte order"
        )


def identifiers(subject: Subject) -> None:
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        subject.uid(keyword)
    subject.required("PatientID")


def modality_tag(subject: Subject) -> None:
    modality, _ = ACCEPTED_CLASSES[subject.uid("SOPClassUID")]
    if subject.required("Modality") != modality:
        raise subject.refusal(
            Rule.MODALITY_MISMATCH, f"its Modality is not {modality}, as its SOP class demands", _RESEND
        )


def frame_of_reference(subject: Subject) -> None:
    subject.uid("FrameOfReferenceUID")


def image_plane(subject: Subject) -> None:
    """Size, spacing, position and orthonormal direction cosines (PS3.3 C.7.6.2)."""
    subject.whole("Rows", least=1, most=65535)
    subject.whole("Columns", least=1, most=65535)
    if min(subject.numbers("PixelSpacing", 2)) <= 0:
        raise subject.refusal(Rule.UNREADABLE, "its PixelSpacing is not positive", "Correct it in the sending system")
    subject.numbers("ImagePositionPatient", 3)
    cosines = subject.numbers("ImageOrientationPatient", 6)
    row, column = cosines[:3], cosines[3:]
    dot = sum(a * b for a, b in zip(row, column, strict=True))
    norms = (math.hypot(*row), math.hypot(*column))
    if abs(dot) > COSINE_TOLERANCE or any(abs(norm - 1) > COSINE_TOLERANCE for norm in norms):
        raise subject.refusal(
            Rule.ORIENTATION,
            "its ImageOrientationPatient is not a pair of perpendicular unit vectors",
            "Export it again from a system that writes its orientation correctly",
        )


def patient_position(subject: Subject) -> None:
    if subject.required("PatientPosition") not in PATIENT_POSITIONS:
        raise subject.refusal(
            Rule.PATIENT_POSITION,
            f"its PatientPosition is none of {', '.join(PATIENT_POSITIONS)}",
            "Only head or feet first, supine or prone can be planned; scan again or correct the entry",
        )


def hounsfield(subject: Subject, imagers: Sequence[str]) -> None:
    """Rescale to HU (PS3.3 C.11.1, C.8.2.1). A type other than HU, where given, is no CT number. The imager of a
    treatment machine need not write any: an image of the day is calibrated, or lends its shape alone (`case.today`),
    and whoever takes one for a planning CT is stopped when it is read."""
    is_stated = subject.has("RescaleIntercept") or subject.has("RescaleSlope")
    is_hounsfield = is_stated and subject.text("RescaleType") in _HU
    may_be_else = not is_hounsfield and _is_of_treatment_machine(subject, imagers)
    if is_stated or not may_be_else:
        subject.number("RescaleIntercept")
        if subject.number("RescaleSlope") == 0:
            raise subject.refusal(
                Rule.UNREADABLE, "its RescaleSlope is zero", "Export it again with its CT calibration"
            )
    if not is_hounsfield and not may_be_else:
        raise subject.refusal(
            Rule.NOT_HU,
            "its values are not Hounsfield units",
            "Send the CT series that is calibrated in Hounsfield units; if a treatment machine made it, name the "
            "machine in anatomy.cbct_names",
        )


def _is_of_treatment_machine(subject: Subject, imagers: Sequence[str]) -> bool:
    return bool(told_by_device([subject.text(name) for name in DEVICE], subject.text("Manufacturer"), imagers))


def pixel_format(subject: Subject) -> None:
    subject.whole("SamplesPerPixel", least=1, most=1)
    allocated = subject.whole("BitsAllocated", least=8, most=32)
    subject.whole("PixelRepresentation", least=0, most=1)
    if allocated not in (8, 16, 32) or subject.whole("BitsStored", least=1, most=32) > allocated:
        raise subject.refusal(Rule.UNREADABLE, "its BitsAllocated or BitsStored cannot be", _RESEND)


def pixel_length(subject: Subject) -> None:
    """Native pixels have exactly the length that rows, columns, frames and bits demand, padded to even."""
    if subject.pixels is None or subject.pixels.length == 0:
        raise subject.refusal(Rule.PIXEL_LENGTH, "it has no pixel data", _RESEND)
    if subject.pixels.is_encapsulated != (subject.transfer_syntax not in NATIVE_SYNTAXES):
        raise subject.refusal(Rule.PIXEL_LENGTH, "its pixel data are not encoded as its transfer syntax says", _RESEND)
    if subject.pixels.is_encapsulated:
        return
    frames = subject.whole("NumberOfFrames", least=1, most=65535) if subject.has("NumberOfFrames") else 1
    rows, columns = subject.whole("Rows", least=1, most=65535), subject.whole("Columns", least=1, most=65535)
    expected = rows * columns * frames * subject.whole("BitsAllocated", least=8, most=32) // 8
    if subject.pixels.length != expected + expected % 2:
        raise subject.refusal(
            Rule.PIXEL_LENGTH,
            f"it has {subject.pixels.length} bytes of pixel data where its size demands {expected}",
            _RESEND,
        )


def codestream(subject: Subject) -> None:
    """A compressed image is whole and of the size the dataset says; it is not decoded here."""
    if subject.pixels is None or not subject.pixels.is_encapsulated:
        return
    stream = b"".join(subject.data[at : at + length] for at, length in subject.pixels.fragments)
    size = (subject.whole("Rows", least=1, most=65535), subject.whole("Columns", least=1, most=65535))
    try:
        if subject.transfer_syntax == RLE_SYNTAX:
            check_rle(stream, segments=subject.whole("BitsAllocated", least=8, most=32) // 8)
            return
        stream = stream.rstrip(b"\0")
        if subject.transfer_syntax in JPEG2000_SYNTAXES:
            coded = jpeg2000_size(stream)
        else:
            # No decoder we ship reads JPEG Extended of 12 bits (pydicom's table of plugins).
            coded = jpeg_size(stream, most_bits=8 if subject.transfer_syntax == JPEGExtended12Bit else 16)
        if coded != size:
            raise BrokenCodestream("the compressed image is of another size than the object says")
    except BrokenCodestream as error:
        raise subject.refusal(Rule.CODESTREAM, f"its compressed pixels cannot be used ({error})", _RESEND) from error


def dose_grid(subject: Subject) -> None:
    """Scaling and one offset for each frame (PS3.3 C.8.8.3)."""
    frames = subject.whole("NumberOfFrames", least=1, most=65535)
    if subject.number("DoseGridScaling") <= 0:
        raise subject.refusal(Rule.UNREADABLE, "its DoseGridScaling is not positive", "Export the dose again")
    if frames > 1 and len(subject.numbers("GridFrameOffsetVector", 0)) != frames:
        raise subject.refusal(
            Rule.UNREADABLE, "its GridFrameOffsetVector does not have one entry a frame", "Export the dose again"
        )


def of_one_plan(subject: Subject) -> None:
    """A dose that a network expects, or that several fractions gave together, comes back from an archive only by
    mistake: nothing here judges or adapts it."""
    if is_prediction(subject.text):
        raise subject.refusal(
            Rule.PREDICTED,
            "it is a dose that Couchside predicted, not one that was calculated for a plan",
            "Send the calculated dose of the plan, or none",
        )
    if is_accumulated(subject.text):
        raise subject.refusal(
            Rule.ACCUMULATED,
            "it is what several fractions gave together, not the dose of a plan",
            "Send the calculated dose of the plan, or none",
        )


def registration(subject: Subject) -> None:
    spatial, deformable = "RegistrationSequence", "DeformableRegistrationSequence"
    if not any(subject.items(spatial)) and not any(subject.items(deformable)):
        raise subject.refusal(Rule.MISSING, "it holds no registration", _RESEND)


ObjectRule = Callable[[Subject], None]
_COMMON: tuple[ObjectRule, ...] = (announced_uids, accepted_class, accepted_syntax, identifiers, modality_tag)
_PIXELS: tuple[ObjectRule, ...] = (frame_of_reference, image_plane, pixel_format, pixel_length)
_RULES: dict[Modality, tuple[ObjectRule, ...]] = {
    Modality.CT: (*_PIXELS, codestream, patient_position),
    Modality.MR: (*_PIXELS, codestream, patient_position),
    Modality.RTSTRUCT: (check_references,),
    Modality.RTPLAN: (check_references,),
    Modality.RTDOSE: (of_one_plan, *_PIXELS, dose_grid, check_references),
    Modality.REG: (frame_of_reference, registration),
}


def check_new(subject: Subject, imagers: Sequence[str]) -> None:
    """As `check`, and what depends on the configuration besides, which is asked of an object once, when it arrives:
    whether a CT's values must be Hounsfield units. imagers: words by which the clinic's own imagers of treatment
    machines are known, beside those that ship."""
    check(subject)
    if subject.text("Modality") == Modality.CT:
        hounsfield(subject, imagers)


def check(subject: Subject) -> None:
    """Raises RefusedObject with the first rule that the object breaks."""
    for rule in _COMMON:
        rule(subject)
    modality, _ = ACCEPTED_CLASSES[subject.uid("SOPClassUID")]
    for rule in _RULES[modality]:
        rule(subject)
