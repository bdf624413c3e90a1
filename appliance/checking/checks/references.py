"""What rests on what: dose on plan, plan on structures, structures on images, all in one frame of reference."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import RTPlanStorage, RTStructureSetStorage

from appliance.checking.attributes import items, references, text
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity

CLOSED = f"{TG_275}; DICOM PS3.3"


@check("references.plan-of-dose", "The dose is of this plan", Severity.STOP, source=CLOSED)
def plan_of_dose(material: Material) -> Said:
    dose, plan = material.objects.dose, material.objects.plan
    if dose is None:
        return not_tested("there is no dose")
    wanted = references(dose, "ReferencedRTPlanSequence")
    if not wanted:
        return found("the dose names no plan")
    if text(plan, "SOPInstanceUID") not in wanted:
        return found("the dose names another plan than this one")
    kinds = {text(item, "ReferencedSOPClassUID") for item in items(dose, "ReferencedRTPlanSequence")}
    return verdict(
        [] if kinds == {str(RTPlanStorage)} else ["its SOP class is not that of a plan"], "it names this plan"
    )


@check("references.structures-of-plan", "The plan was made on this structure set", Severity.STOP, source=MPPG_11A)
def structures_of_plan(material: Material) -> Said:
    plan, structures = material.objects.plan, material.objects.structures
    wanted = references(plan, "ReferencedStructureSetSequence")
    if structures is None:
        return not_tested("there is no structure set drawn on this CT in the folder")
    if not wanted:
        return found("the plan names no structure set", Severity.WARN)
    kinds = {text(item, "ReferencedSOPClassUID") for item in items(plan, "ReferencedStructureSetSequence")}
    if text(structures, "SOPInstanceUID") not in wanted:
        return found("the plan names another structure set than the one drawn on this CT")
    wrong = [] if kinds == {str(RTStructureSetStorage)} else ["its SOP class is not that of a structure set"]
    return verdict(wrong, "it names this structure set")


@check("references.images-of-structures", "Every referenced slice is there", Severity.STOP, source=MPPG_11A)
def images_of_structures(material: Material) -> Said:
    structures = material.objects.structures
    if structures is None:
        return not_tested("there is no structure set")
    there = {text(image, "SOPInstanceUID"): text(image, "SOPClassUID") for image in material.objects.images}
    named = _images_named(structures)
    if not named:
        return found("the structure set names no slice", Severity.WARN)
    wrong = []
    if absent := [uid for uid in named if uid not in there]:
        wrong.append(f"{len(absent)} of {len(named)} referenced slices are not in the folder")
    if other := [uid for uid, kind in named.items() if kind and uid in there and kind != there[uid]]:
        wrong.append(f"{len(other)} references give another SOP class than the slice has")
    if unnamed := len(set(there) - set(named)):
        wrong.append(f"{unnamed} slices of the series are not referenced")
    return verdict(wrong, f"all {len(named)} referenced slices are there, with their SOP class")


def _images_named(structures: Dataset) -> dict[str, str]:
    """SOP class by SOP Instance UID."""
    return {
        text(image, "ReferencedSOPInstanceUID"): text(image, "ReferencedSOPClassUID")
        for frame in items(structures, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
        for image in items(series, "ContourImageSequence")
    }


@check("references.frame", "One frame of reference", Severity.STOP, source=f"{MPPG_11A} (correct CT)")
def frame(material: Material) -> Said:
    frames = {name: text(dataset, "FrameOfReferenceUID") for name, dataset in material.objects.named()}
    if (structures := material.objects.structures) is not None:
        rois = {text(item, "ReferencedFrameOfReferenceUID") for item in items(structures, "StructureSetROISequence")}
        frames["structure set"] = next(iter(rois - {""}), frames["structure set"])
        if len(rois - {""}) > 1:
            return found("the structures lie in several frames of reference")
    image = frames.get("CT", "")
    if not image:
        return not_tested("there is no CT")
    other = [name for name, uid in frames.items() if uid and uid != image]
    silent = [name for name, uid in frames.items() if not uid]
    if other:
        return found(f"the frame of reference of {', '.join(other)} is not that of the CT")
    return passed("all are in the CT's frame" + (f"; {', '.join(silent)} state none" if silent else ""))


@check("references.predecessor", "An adapted plan names its predecessor and has a UID of its own", Severity.STOP,
       source="IHE-RO; DICOM PS3.3 C.8.8.9")  # fmt: skip
def predecessor(material: Material) -> Said:
    plan, reference = material.objects.plan, material.objects.reference
    named = [
        text(item, "ReferencedSOPInstanceUID")
        for item in items(plan, "ReferencedRTPlanSequence")
        if text(item, "RTPlanRelationship") == "PREDECESSOR"
    ]
    if reference is None:
        return not_tested(f"no reference plan was given; the plan names {len(named)} predecessors")
    if text(reference, "SOPInstanceUID") == text(plan, "SOPInstanceUID"):
        return found("the plan has the SOP Instance UID of the reference plan: an adapted plan needs its own")
    if text(reference, "SOPInstanceUID") not in named:
        return found("the plan does not name the reference plan as its predecessor", Severity.WARN)
    return passed("it names the reference plan as predecessor and has its own UID")


@check("references.hashes", "Fingerprints of the objects", Severity.INFO, source="for the record")
def hashes(material: Material) -> Said:
    known = material.objects.sha256
    listed = [f"{name} {known.get(text(item, 'SOPInstanceUID'), '')[:16]}" for name, item in material.objects.named()]
    return passed(f"SHA-256 (first 16 digits): {', '.join(listed)}; {len(known)} files in all")
