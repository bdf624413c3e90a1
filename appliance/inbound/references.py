"""Which objects an RT object rests on: read from the dataset, and refused where there are none or they are no UIDs."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from appliance.inbound.catalogue import ACCEPTED_CLASSES, Modality, Rule
from appliance.inbound.subject import Subject, is_uid

_REMEDY = "Export it again together with what it was made on"


def _uids(subject: Subject, items: Iterator[Dataset]) -> Iterator[str]:
    for item in items:
        uid = subject.text_of(item, "ReferencedSOPInstanceUID")
        if not is_uid(uid):
            raise subject.refusal(Rule.UID_SYNTAX, "it refers to an object by what is no valid DICOM UID", _REMEDY)
        yield uid


def _study_series(subject: Subject) -> Iterator[Dataset]:
    """RT Referenced Series of every frame of reference (PS3.3 C.8.8.5)."""
    for frame in subject.items("ReferencedFrameOfReferenceSequence"):
        for study in subject.items("RTReferencedStudySequence", of=frame):
            yield from subject.items("RTReferencedSeriesSequence", of=study)


def _image_items(subject: Subject) -> Iterator[Dataset]:
    for series in _study_series(subject):
        yield from subject.items("ContourImageSequence", of=series)


def _contour_image_items(subject: Subject) -> Iterator[Dataset]:
    for roi in subject.items("ROIContourSequence"):
        for contour in subject.items("ContourSequence", of=roi):
            yield from subject.items("ContourImageSequence", of=contour)


def _overview_items(subject: Subject) -> Iterator[Dataset]:
    """Of a dose whose plan is not to be had (PLAN_OVERVIEW): the structure sets its overview names (PS3.3 C.8.8.3)."""
    for overview in subject.items("PlanOverviewSequence"):
        yield from subject.items("ReferencedStructureSetSequence", of=overview)


def references_of(subject: Subject) -> tuple[str, ...]:
    """SOP Instance UIDs, each once, in the object's order: a structure set's images (from its list of series, else
    from its contours), a plan's structure sets, a dose's plans, or else its structure sets, or else those of its plan
    overview. Raises RefusedObject for what is no UID."""
    modality, _ = ACCEPTED_CLASSES[subject.uid("SOPClassUID")]
    candidates: tuple[Iterator[Dataset], ...] = ()
    if modality is Modality.RTSTRUCT:
        candidates = (_image_items(subject), _contour_image_items(subject))
    elif modality is Modality.RTPLAN:
        candidates = (subject.items("ReferencedStructureSetSequence"),)
    elif modality is Modality.RTDOSE:
        candidates = (
            subject.items("ReferencedRTPlanSequence"),
            subject.items("ReferencedStructureSetSequence"),
            _overview_items(subject),
        )
    for items in candidates:
        if found := tuple(dict.fromkeys(_uids(subject, items))):
            return found
    return ()


def frame_of(subject: Subject) -> str:
    """The frame of reference the object lives in: for a structure set the one its structures are drawn in, else that
    of its images (a set drawn on fused images names several); for all others their own. '' if it names none."""
    for uid in _frames(subject):
        if not is_uid(uid):
            raise subject.refusal(Rule.UID_SYNTAX, "its frame of reference is no valid DICOM UID", _REMEDY)
        return uid
    return ""


def _frames(subject: Subject) -> Iterator[str]:
    if subject.text("Modality") == Modality.RTSTRUCT:
        for roi in subject.items("StructureSetROISequence"):
            if uid := subject.text_of(roi, "ReferencedFrameOfReferenceUID"):
                yield uid
        for frame in subject.items("ReferencedFrameOfReferenceSequence"):
            if uid := subject.text_of(frame, "FrameOfReferenceUID"):
                yield uid
    if uid := subject.text("FrameOfReferenceUID"):
        yield uid


def joined_frames(subject: Subject) -> tuple[str, ...]:
    """Frames of reference that a registration object joins, its own first (PS3.3 C.20.2, C.20.3); () for any other."""
    if subject.text("Modality") != Modality.REG:
        return ()
    sources = (
        ("RegistrationSequence", "FrameOfReferenceUID"),
        ("DeformableRegistrationSequence", "SourceFrameOfReferenceUID"),
    )
    others = [subject.text_of(item, keyword) for sequence, keyword in sources for item in subject.items(sequence)]
    return tuple(dict.fromkeys(uid for uid in (subject.text("FrameOfReferenceUID"), *others) if uid))


# Type 1 in the mandatory modules of the IOD (PS3.3 C.8.8.5, C.8.8.6, C.8.8.8).
_STRUCTURE_SET_PARTS = ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence")
_WHAT_IS_MISSING = {
    Modality.RTSTRUCT: "it does not say which images it was drawn on",
    Modality.RTPLAN: "it does not say which structure set it was planned on",
    Modality.RTDOSE: "it does not say which plan or structure set it belongs to",
}


def check_references(subject: Subject) -> None:
    """Refuses an RT object that rests on nothing: it could never be joined to a case."""
    modality, _ = ACCEPTED_CLASSES[subject.uid("SOPClassUID")]
    if not references_of(subject):
        raise subject.refusal(Rule.REFERENCE, _WHAT_IS_MISSING[modality], _REMEDY)
    if modality is Modality.RTSTRUCT:
        for part in _STRUCTURE_SET_PARTS:
            if not any(subject.items(part)):
                raise subject.refusal(Rule.MISSING, f"it has no {part}", "Export it with all its structures")
        if not frame_of(subject):
            raise subject.refusal(Rule.REFERENCE, "it names no frame of reference", _REMEDY)
